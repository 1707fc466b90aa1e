import { Command } from 'commander';
import type { CanvasData, MQTTIntegrationService } from '../index.js';
import { withService } from './lifetime.js';
import { milliseconds, print, printJson, TICK } from './output.js';
import { type StorageOptions, settings, withStorage, withStorageOptions } from './settings.js';

interface Options extends StorageOptions {
  canvas: string;
  author: string;
}

/** `mqtt-p2p client`: creates, updates, shares, synchronises and makes live one small canvas. */
export function client(): Command {
  return withStorageOptions(new Command('client'))
    .description('create, update, share and synchronise a small canvas, step by step')
    .option('--canvas <id>', 'id of the canvas', `client-${new Date().toISOString().slice(0, 19)}`)
    .option('--author <name>', 'author of the edits', 'client')
    .action(run);
}

async function run(options: Options): Promise<void> {
  const wanted = settings(options, ['demo-repo']);
  withStorage(wanted, options, 'client');
  const [first, second] = wanted.config.repositories.map((entry) => (typeof entry === 'string' ? entry : entry.name));
  const repository = first ?? 'demo-repo';
  const target = second ?? `${repository}-shared`;
  if (second === undefined) wanted.config.repositories = [...wanted.config.repositories, target];
  await withService(wanted, (service) => sequence(service, repository, target, options));
}

async function sequence(
  service: MQTTIntegrationService,
  repository: string,
  target: string,
  { canvas: canvasId, author, json }: Options,
): Promise<void> {
  const step = async <T>(name: string, action: () => Promise<T>, tell: (result: T) => string): Promise<T> => {
    const start = performance.now();
    const result = await action();
    const ms = performance.now() - start;
    if (json) printJson({ step: name, repository, canvasId, ms });
    else print(`${TICK} ${name.padEnd(7)} ${tell(result)} (${milliseconds(ms)})`);
    return result;
  };

  const canvas: CanvasData = {
    nodes: [
      { id: 'idea', type: 'text', x: 0, y: 0, width: 260, height: 60, text: 'An idea' },
      { id: 'plan', type: 'text', x: 360, y: 0, width: 260, height: 60, text: 'A plan' },
    ],
    edges: [{ id: 'idea-plan', fromNode: 'idea', toNode: 'plan' }],
  };
  await step(
    'create',
    () => service.createCanvas(repository, canvasId, canvas, author),
    () => `${repository}/${canvasId}: 2 nodes, 1 edge`,
  );
  canvas.nodes?.push({ id: 'deed', type: 'text', x: 720, y: 0, width: 260, height: 60, text: 'A deed' });
  await step(
    'update',
    () => service.updateCanvas(repository, canvasId, canvas, author),
    () => 'one node added',
  );
  await step(
    'share',
    () => service.shareCanvas(repository, canvasId, target),
    () => `now in ${target} too`,
  );
  await step(
    'sync',
    () => service.syncCanvas(repository, canvasId),
    ({ answered, changesReceived }) =>
      answered
        ? `${changesReceived} changes from others`
        : 'no other peer answered; nothing is missing as far as known',
  );
  await step(
    'enable',
    () => service.enableRealTimeCollaboration(target, canvasId),
    () => `live in ${target}`,
  );
  await step(
    'read',
    () => service.getCanvas(target, canvasId),
    ({ nodes, edges }) => `${nodes.length} nodes, ${edges.length} edges in ${target}`,
  );
}
