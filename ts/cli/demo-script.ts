import type { CanvasNode, CanvasPatch, ReadCanvas } from '../index.js';
import type { Edit } from './demo-protocol.js';

export type Author = 'Ada' | 'Ben';

/** A few edits of one author that belong together, such as a drag; told in one line. */
export interface Scene {
  author: Author;
  /** When it starts, in milliseconds from the start of the play. */
  atMs: number;
  /** Time between two of its edits. */
  everyMs: number;
  tells: string;
  edits: Edit[];
}

/** Time between two edits of a scene. */
const STEP_MS = 40;

/** What the two do with the canvas, at the same time. */
export function play(canvas: ReadCanvas): Scene[] {
  const cards = canvas.nodes.filter(({ type, text }) => type === 'text' && title(text).length > 3);
  const [a, b, shared, doomed, c, d] = spread(cards, 6) as [Card, Card, Card, Card, Card, Card];
  const idea: CanvasNode = { id: 'ada-idea', type: 'text', x: -300, y: -320, width: 260, height: 60, text: 'An idea' };
  const scenes: Omit<Scene, 'everyMs'>[] = [
    { author: 'Ada', atMs: 0, tells: `drags ${quoted(a)}`, edits: drag(a, 12, -15) },
    { author: 'Ben', atMs: 100, tells: `drags ${quoted(b)}`, edits: drag(b, -10, 20) },
    {
      author: 'Ada',
      atMs: 700,
      tells: `writes at the start of ${quoted(shared)}`,
      edits: write(shared, 'start', 'Ada: yes! '),
    },
    {
      author: 'Ben',
      atMs: 700,
      tells: `writes at the end of the same card`,
      edits: write(shared, 'end', ' Ben: but when?'),
    },
    { author: 'Ada', atMs: 1300, tells: 'adds a card "An idea"', edits: [{ patch: { nodes: { upsert: [idea] } } }] },
    { author: 'Ben', atMs: 1400, tells: `paints ${quoted(c)} red`, edits: [upsert({ id: c.id, color: '1' })] },
    { author: 'Ben', atMs: 1600, tells: `rewrites ${quoted(doomed)}`, edits: write(doomed, 'end', ' (still needed)') },
    { author: 'Ada', atMs: 1750, tells: `connects "An idea" to ${quoted(a)}`, edits: [connect(idea, a)] },
    { author: 'Ada', atMs: 2100, tells: `resizes ${quoted(d)}`, edits: resize(d) },
    { author: 'Ben', atMs: 2150, tells: 'drags "An idea"', edits: drag(idea as Card, 14, 9) },
  ];
  return scenes.map((scene) => ({ ...scene, everyMs: STEP_MS }));
}

/** Moves of one author for the finale, spread over every second node so that the authors do not overwrite each other. */
export function burst(canvas: ReadCanvas, author: Author, count: number): CanvasPatch[] {
  const mine = canvas.nodes.filter((_, index) => index % 2 === (author === 'Ada' ? 0 : 1));
  return Array.from({ length: count }, (_, step) => {
    const node = mine[step % mine.length] as CanvasNode;
    return { nodes: { upsert: [{ id: node.id, x: (node.x ?? 0) + step + 1 }] } };
  });
}

/** Where a burst leaves its author's nodes: checked at the end, so that no edit got lost unseen. */
export function burstOutcome(patches: CanvasPatch[]): Map<string, number> {
  const outcome = new Map<string, number>();
  for (const { nodes } of patches) for (const { id, x } of nodes?.upsert ?? []) outcome.set(id, x as number);
  return outcome;
}

type Card = CanvasNode & { x: number; y: number; width: number; height: number };

const upsert = (...nodes: CanvasNode[]): Edit => ({ patch: { nodes: { upsert: nodes } } });

function drag({ id, x, y }: Card, dx: number, dy: number): Edit[] {
  return steps(10).map((step) => upsert({ id, x: x + step * dx, y: y + step * dy }));
}

function resize({ id, width, height }: Card): Edit[] {
  return steps(6).map((step) => upsert({ id, width: width + step * 20, height: height + step * 10 }));
}

/** Word by word. What is written at the start comes last word first, so that it reads well in the end. */
function write({ id }: Card, at: 'start' | 'end', text: string): Edit[] {
  const words = text.match(/\s*\S+\s*/g) ?? [];
  return (at === 'start' ? words.reverse() : words).map((word) => ({ write: { id, words: word, at } }));
}

function connect(from: CanvasNode, to: CanvasNode): Edit {
  return { patch: { edges: { upsert: [{ id: 'ada-edge', fromNode: from.id, toNode: to.id, toEnd: 'arrow' }] } } };
}

function steps(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

/** A few cards from all over the canvas. */
function spread<T>(items: T[], count: number): T[] {
  return steps(count).map((step) => items[Math.floor((step * items.length) / (count + 1))] as T);
}

/** A card's first line without Markdown, shortened. */
function title(text = ''): string {
  const line = (text.split('\n').find((line) => line.trim() !== '') ?? '').replace(/[#*_`>[\]]/g, '').trim();
  return line.length > 24 ? `${line.slice(0, 23)}…` : line;
}

function quoted({ text }: CanvasNode): string {
  return `"${title(text)}"`;
}
