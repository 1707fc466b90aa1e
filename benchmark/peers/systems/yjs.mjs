// Yjs with y-websocket and its server, as their documentation shows: a shared map of nodes, each a map of its properties,
// the text a Y.Text; one connection for each document.
import WebSocket from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';

export const broker = 'y-websocket';

// Every provider listens for the process's end.
process.setMaxListeners(0);

export async function connect({ port, onMove }) {
  const open = new Map();
  const nodeOf = (key, id) => open.get(key).doc.getMap('nodes').get(id);

  function element(value) {
    const map = new Y.Map();
    for (const [name, field] of Object.entries(value)) map.set(name, name === 'text' ? new Y.Text(field) : field);
    return map;
  }

  function assign(elements, wanted) {
    const ids = new Set(wanted.map(({ id }) => id));
    for (const id of elements.keys()) if (!ids.has(id)) elements.delete(id);
    for (const value of wanted) {
      const known = elements.get(value.id);
      if (!known) elements.set(value.id, element(value));
      else for (const [name, field] of Object.entries(value)) assignField(known, name, field);
    }
  }

  function assignField(map, name, field) {
    const known = map.get(name);
    if (known instanceof Y.Text) {
      if (known.toString() === field) return;
      known.delete(0, known.length);
      known.insert(0, field);
    } else if (JSON.stringify(known) !== JSON.stringify(field)) map.set(name, field);
  }

  function watch(key, events, { local }) {
    if (local) return;
    for (const event of events) {
      const [id] = event.path;
      if (event.target instanceof Y.Text) onMove(key, id, event.target.length);
      else if (event.keysChanged?.has('x')) onMove(key, id, event.target.get('x'));
    }
  }

  return {
    async open(key, initial) {
      const doc = new Y.Doc();
      const provider = new WebsocketProvider(`ws://127.0.0.1:${port}`, key, doc, {
        WebSocketPolyfill: WebSocket,
        disableBc: true,
      });
      open.set(key, { doc, provider });
      const nodes = doc.getMap('nodes');
      if (!provider.synced) await new Promise((resolve) => provider.once('sync', resolve));
      if (initial) {
        doc.transact(() => {
          assign(nodes, initial.nodes);
          assign(doc.getMap('edges'), initial.edges);
        });
      }
      while (nodes.size === 0) await new Promise((resolve) => doc.once('update', resolve));
      nodes.observeDeep((events, transaction) => watch(key, events, transaction));
      return key;
    },
    move: (key, id, x) => void nodeOf(key, id).set('x', x),
    type(key, id, text) {
      const shared = nodeOf(key, id).get('text');
      shared.insert(shared.length, text);
    },
    update(key, canvas) {
      const { doc } = open.get(key);
      doc.transact(() => {
        assign(doc.getMap('nodes'), canvas.nodes);
        assign(doc.getMap('edges'), canvas.edges);
      });
    },
    async read(key) {
      const { doc } = open.get(key);
      const values = (name) => Object.values(doc.getMap(name).toJSON());
      return { nodes: values('nodes'), edges: values('edges') };
    },
    async close() {
      for (const { doc, provider } of open.values()) {
        provider.destroy();
        doc.destroy();
      }
    },
  };
}
