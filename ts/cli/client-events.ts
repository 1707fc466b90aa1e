import type { CanvasEvent, MQTTIntegrationService } from '../index.js';
import { clock, colour, shortPeer } from './output.js';
import { count, visible } from './text.js';

/** Tells what others do, while `watching` says so. */
export function follow(service: MQTTIntegrationService, watching: () => boolean, say: (line: string) => void): void {
  const tell = (line: string) => {
    if (watching()) say(`${clock()} ${line}`);
  };
  for (const [event, verb] of [
    ['canvas-created', 'created'],
    ['canvas-updated', 'changed'],
    ['canvas-deleted', 'deleted'],
    ['canvas-shared', 'shared'],
  ] as const) {
    service.on(event, (canvas: CanvasEvent) => {
      if (canvas.origin !== 'local') tell(changed(canvas, verb));
    });
  }
  service.on('peer-discovered', ({ id, repository }) => tell(`${shortPeer(id)} is in ${visible(repository)}`));
  service.on('peer-left', ({ id, repository }) => tell(colour.dim(`${shortPeer(id)} has left ${visible(repository)}`)));
  service.on('message', ({ peerId, message }) => tell(`${shortPeer(peerId)}: ${visible(JSON.stringify(message))}`));
  service.on('conflict', ({ canvasId, element, id, property }) =>
    tell(colour.yellow(`in ${visible(canvasId)} two wrote ${property} of ${element} ${visible(id)} at the same time`)),
  );
  service.on('disconnected', ({ reason }) => tell(colour.yellow(`broker away: ${reason}`)));
  service.on('connected', () => tell(colour.green('broker connected')));
}

function changed({ author, peerId, canvasId, changes }: CanvasEvent, verb: string): string {
  const who = author ? visible(author) : shortPeer(peerId);
  return `${colour.cyan('←')} ${who} ${verb} ${visible(canvasId)}${colour.dim(summary(changes))}`;
}

/** Which elements changed, in a few words. */
export function summary({ nodes, edges }: CanvasEvent['changes']): string {
  const part = (changes: typeof nodes | typeof edges, name: string) => {
    const ids = [
      ...(changes?.added ?? []).map(({ id }) => `+${id}`),
      ...(changes?.updated ?? []).map(({ id }) => `~${id}`),
      ...(changes?.removed ?? []).map((id) => `-${id}`),
    ];
    if (ids.length === 0) return [];
    return [ids.length > 3 ? count(ids.length, name) : ids.map(visible).join(' ')];
  };
  const parts = [...part(nodes, 'node'), ...part(edges, 'edge')];
  return parts.length > 0 ? ` (${parts.join(', ')})` : '';
}
