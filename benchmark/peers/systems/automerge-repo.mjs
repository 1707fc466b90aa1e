// automerge-repo with its WebSocket server, as its documentation shows: a document of nodes and edges by id.
import { setTimeout as sleep } from 'node:timers/promises';
import { Repo, splice } from '@automerge/automerge-repo';
import { WebSocketClientAdapter } from '@automerge/automerge-repo-network-websocket';

export const broker = 'automerge-repo';

/** How long the adapter waits before it connects again, in milliseconds. */
const RETRY_MS = 100;

// The adapter throws what its socket reports when the network is cut.
process.on('uncaughtException', ({ code, message }) => {
  if (code !== 'ECONNRESET' && code !== 'ECONNREFUSED') throw new Error(message);
});

export async function connect({ port, onMove }) {
  const repo = new Repo({ network: [new WebSocketClientAdapter(`ws://127.0.0.1:${port}`, RETRY_MS)] });
  await repo.networkSubsystem.whenReady();
  const open = new Map();
  const byId = (elements) => Object.fromEntries(elements.map((element) => [element.id, { ...element }]));

  function assign(elements, wanted) {
    const ids = new Set(wanted.map(({ id }) => id));
    for (const id of Object.keys(elements)) if (!ids.has(id)) delete elements[id];
    for (const value of wanted) {
      if (!elements[value.id]) elements[value.id] = { ...value };
      else {
        for (const [name, field] of Object.entries(value)) {
          if (elements[value.id][name] !== field) elements[value.id][name] = field;
        }
      }
    }
  }

  /** It gives up when the server does not know the document yet. */
  async function find(url) {
    for (;;) {
      try {
        return await repo.find(url);
      } catch {
        await sleep(50);
      }
    }
  }

  function watch(key, { patches, doc }) {
    for (const { path } of patches) {
      const [kind, id, field] = path;
      const node = kind === 'nodes' && doc.nodes[id];
      if (node && field === 'x') onMove(key, id, node.x);
      else if (node && field === 'text') onMove(key, id, node.text.length);
    }
  }

  return {
    async open(key, initial) {
      const handle = initial
        ? repo.create({ nodes: byId(initial.nodes), edges: byId(initial.edges) })
        : await find(key);
      await handle.whenReady();
      open.set(handle.url, handle);
      handle.on('change', (change) => watch(handle.url, change));
      return handle.url;
    },
    move(key, id, x) {
      open.get(key).change((doc) => {
        doc.nodes[id].x = x;
      });
    },
    type(key, id, text) {
      open.get(key).change((doc) => splice(doc, ['nodes', id, 'text'], doc.nodes[id].text.length, 0, text));
    },
    update(key, canvas) {
      open.get(key).change((doc) => {
        assign(doc.nodes, canvas.nodes);
        assign(doc.edges, canvas.edges);
      });
    },
    async read(key) {
      const doc = open.get(key).doc();
      return { nodes: Object.values(doc.nodes), edges: Object.values(doc.edges) };
    },
    close: () => repo.shutdown(),
  };
}
