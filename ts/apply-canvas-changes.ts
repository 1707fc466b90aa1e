import type { CanvasChanges, CanvasData, ElementChanges, ReadCanvas } from '../index.js';
import { recall, remember, sameCanvas } from './versions.js';

type Properties = { [property: string]: unknown };
type Element = { id: string } & Properties;

/** Applies what an event brought to what the application has; see `index.d.ts`. */
export function applyCanvasChanges(canvas: CanvasData, changes: CanvasChanges): ReadCanvas {
  const changed = changeProperties(canvas, changes.properties ?? {}) as ReadCanvas;
  changed.nodes = changeElements((canvas.nodes ?? []) as Element[], changes.nodes);
  changed.edges = changeElements((canvas.edges ?? []) as Element[], changes.edges);

  const before = recall(canvas);
  const after = recall(changes);
  if (before && after && sameCanvas(before, after)) remember(changed, after);
  return changed;
}

/** A copy with other values. `__proto__` is a name like any other: nothing here assigns through it. */
function changeProperties(from: Properties, { set, removed }: { set?: Properties; removed?: string[] }): Properties {
  const copy = { ...from };
  for (const name of removed ?? []) delete copy[name];
  for (const [name, value] of Object.entries(set ?? {})) {
    Object.defineProperty(copy, name, { value, enumerable: true, writable: true, configurable: true });
  }
  return copy;
}

function changeElements<E extends Element>(elements: E[], changes: ElementChanges<E> | undefined): E[] {
  if (!changes) return elements;
  const removed = new Set(changes.removed);
  const byId = new Map<string, E>();
  for (const element of elements) if (!removed.has(element.id)) byId.set(element.id, element);
  for (const { id, ...update } of changes.updated ?? []) {
    const element = byId.get(id);
    if (element) byId.set(id, changeProperties(element, update) as E);
  }
  for (const element of changes.added ?? []) byId.set(element.id, element);
  return changes.order ? reorder(byId, changes.order) : [...byId.values()];
}

/**
 * Puts each listed element right after the one it names, in the order listed; the others keep their order. The array is
 * a linked list meanwhile, so that one move among thousands of elements costs one walk.
 */
function reorder<E>(byId: Map<string, E>, order: { id: string; after: string | null }[]): E[] {
  const moved = new Set(order.map(({ id }) => id));
  const next = new Map<string | null, string>();
  let last: string | null = null;
  for (const id of byId.keys()) {
    if (moved.has(id)) continue;
    next.set(last, id);
    last = id;
  }
  const placed = new Set<string | null>([null]);
  for (const id of byId.keys()) if (!moved.has(id)) placed.add(id);
  for (const { id, after } of order) {
    if (!byId.has(id) || placed.has(id)) continue;
    // What follows an element that is not here goes to the end.
    const place: string | null = placed.has(after) ? after : last;
    const follower = next.get(place);
    if (follower === undefined) last = id;
    else next.set(id, follower);
    next.set(place, id);
    placed.add(id);
  }
  const ordered: E[] = [];
  for (let id = next.get(null); id !== undefined; id = next.get(id)) ordered.push(byId.get(id) as E);
  return ordered;
}
