// This product: signed changes of a CRDT through the same broker as the floor. Every call is awaited.
import { MQTTIntegrationService } from '../../../dist/index.js';

export const broker = 'mosquitto';

const REPOSITORY = 'bench';
const AUTHOR = 'bench';

export async function connect({ port, onMove, encryption, storage }) {
  const service = new MQTTIntegrationService({
    broker: { host: '127.0.0.1', port },
    repositories: [REPOSITORY],
    ...(encryption && { features: { encryption: true }, encryption }),
    ...(storage && { storage }),
  });
  service.on('error', () => {}); // The network is cut on purpose.
  await service.initialize();
  const texts = new Map();

  service.on('canvas-updated', ({ canvasId, changes, origin }) => {
    for (const { id, set } of changes.nodes?.updated ?? []) {
      if (set?.text !== undefined) texts.set(`${canvasId}/${id}`, set.text);
      if (origin !== 'remote') continue;
      if (set?.x !== undefined) onMove(canvasId, id, set.x);
      if (set?.text !== undefined) onMove(canvasId, id, set.text.length);
    }
  });

  const has = async (id) =>
    (await service.listCanvases(REPOSITORY)).some((canvas) => canvas.id === id && canvas.nodes > 0);
  const patch = (key, upsert) => service.patchCanvas(REPOSITORY, key, { nodes: { upsert: [upsert] } }, AUTHOR);
  const textOf = async (key, id) =>
    (await service.getCanvas(REPOSITORY, key)).nodes.find((node) => node.id === id).text;
  return {
    async open(key, initial) {
      if (initial) await service.createCanvas(REPOSITORY, key, initial, AUTHOR);
      while (!(await has(key))) await new Promise((resolve) => setTimeout(resolve, 2));
      return key;
    },
    move: (key, id, x) => patch(key, { id, x }),
    async type(key, id, text) {
      const before = texts.get(`${key}/${id}`) ?? (await textOf(key, id));
      texts.set(`${key}/${id}`, before + text);
      await patch(key, { id, text: before + text });
    },
    update: (key, canvas) => service.updateCanvas(REPOSITORY, key, canvas, AUTHOR),
    read: (key) => service.getCanvas(REPOSITORY, key),
    close: () => service.disconnect(),
  };
}
