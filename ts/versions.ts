import type { CanvasVersion } from '../index.js';

/** A version, and the canvas and peer for which it means something. */
export interface Remembered {
  peer: object;
  repository: string;
  canvasId: string;
  version: CanvasVersion;
}

/**
 * What objects remember: canvases their version, also after being changed in place; the `changes` of events the version
 * to which they lead. Kept beside the objects, so that nothing shows in an application's data.
 */
const memory = new WeakMap<object, Remembered>();

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/** Lets an object remember. */
export function remember(object: unknown, what: Remembered): void {
  if (isObject(object)) memory.set(object, what);
}

/** What an object remembers, if anything. */
export function recall(object: unknown): Remembered | undefined {
  return isObject(object) ? memory.get(object) : undefined;
}

/** The version that an object remembers of one canvas of one peer; what it knows of another one is of no use. */
export function versionFor(object: unknown, at: Omit<Remembered, 'version'>): CanvasVersion | undefined {
  const known = recall(object);
  return known && sameCanvas(known, at) ? known.version : undefined;
}

/** Whether both speak of one canvas of one peer. */
export function sameCanvas(a: Omit<Remembered, 'version'>, b: Omit<Remembered, 'version'>): boolean {
  return a.peer === b.peer && a.repository === b.repository && a.canvasId === b.canvasId;
}
