import type { CanvasData, MQTTIntegrationService } from '../index.js';
import { milliseconds, print, printJson, TICK } from './output.js';
import { count } from './text.js';

/** What the steps are about. */
export interface Steps {
  repository: string;
  /** Where the canvas is shared to. */
  target: string;
  canvas: string;
  author: string;
  json: boolean;
}

/** Creates, updates, shares, synchronises and makes live one small canvas, and tells of each step. */
export async function steps(
  service: MQTTIntegrationService,
  { repository, target, canvas: canvasId, author, json }: Steps,
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
    ({ nodes, edges }) => `${count(nodes.length, 'node')}, ${count(edges.length, 'edge')} in ${target}`,
  );
}
