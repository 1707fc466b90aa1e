// What no system on this broker can beat: MQTT publishes at QoS 1 of plain JSON, with neither merging, nor history, nor
// signatures. An update overwrites; whoever comes late gets the canvas as the retained message of its creator.
import { once } from 'node:events';
import { connect as dial } from 'node:net';
import { MqttClient } from 'mqtt';

/** A move is this long, as that of an editor which names its author and time. */
const MOVE_BYTES = 200;

export const broker = 'mosquitto';

export async function connect({ port, onMove }) {
  // The broker keeps for a client that is away what others publish.
  const clientId = `floor-${process.pid}`;
  const options = { protocolVersion: 4, reconnectPeriod: 100, clean: false, clientId };
  // From the first byte: what was published offline goes out one by one before the client says that it is connected.
  const client = new MqttClient(() => dial({ port, host: '127.0.0.1', noDelay: true }), options);
  client.on('error', () => {}); // The network is cut on purpose.
  await once(client, 'connect');
  const canvases = new Map();
  const arrived = new Map();

  client.on('message', (topic, bytes) => {
    const [key, kind] = topic.split('/');
    const message = JSON.parse(bytes.toString());
    if (kind === 'whole') {
      const nodes = new Map(message.nodes.map((node) => [node.id, node]));
      const before = canvases.get(key)?.nodes;
      canvases.set(key, { nodes, edges: message.edges });
      for (const { id, x } of message.nodes) if (before && before.get(id)?.x !== x) onMove(key, id, x);
      arrived.get(key)?.();
      return;
    }
    const node = canvases.get(key)?.nodes.get(message.id);
    if (!node) return;
    if (kind === 'text') node.text = (node.text ?? '') + message.text;
    else node.x = message.x;
    onMove(key, message.id, kind === 'text' ? node.text.length : message.x);
  });

  // Not awaited but for the first: nothing of what is compared waits for the broker either.
  const publish = (topic, value, options = {}) => void client.publish(topic, value, { qos: 1, ...options });
  return {
    async open(key, initial) {
      if (initial) await client.publishAsync(`${key}/whole`, JSON.stringify(initial), { qos: 1, retain: true });
      const whole = new Promise((resolve) => arrived.set(key, resolve));
      await client.subscribeAsync(`${key}/+`, { qos: 1 });
      await whole;
      return key;
    },
    move: (key, id, x) => publish(`${key}/move`, JSON.stringify({ id, x }).padEnd(MOVE_BYTES)),
    type: (key, id, text) => publish(`${key}/text`, JSON.stringify({ id, text }).padEnd(MOVE_BYTES)),
    update: (key, canvas) => publish(`${key}/whole`, JSON.stringify(canvas), { retain: true }),
    read: async (key) => {
      const { nodes, edges } = canvases.get(key);
      return { nodes: [...nodes.values()], edges };
    },
    close: () => client.endAsync(),
  };
}
