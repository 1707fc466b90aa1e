import type { CanvasData, CanvasEdge, CanvasNode, ReadCanvas } from '../index.js';

const ARMS = 3;
const TURNS = 2.2;
const CARD = { width: 120, height: 60 };
/** Characters of the picture, from empty to crowded. */
const INK = ' ·•*%@';

/** A canvas of cards in spiral arms, each tied to the one before it on its arm: the same for every run. */
export function galaxy(count: number): CanvasData {
  const nodes: CanvasNode[] = [];
  const edges: CanvasEdge[] = [];
  for (let number = 0; number < count; number += 1) {
    const along = number / count;
    const angle = ((number % ARMS) / ARMS + along * TURNS) * 2 * Math.PI;
    const radius = 200 + along * 6000;
    // A card does not lie exactly on its arm.
    const [offX, offY] = [scatter(number), scatter(number + count)];
    const x = Math.round(radius * Math.cos(angle) + offX * 500);
    const y = Math.round(radius * Math.sin(angle) + offY * 500);
    nodes.push({ id: `star-${number}`, type: 'text', x, y, ...CARD, text: `Star ${number}` });
    if (number >= ARMS) {
      edges.push({ id: `arm-${number}`, fromNode: `star-${number - ARMS}`, toNode: `star-${number}` });
    }
  }
  return { nodes, edges };
}

/** The canvas as lines of text: the more cards lie somewhere, the darker. */
export function picture({ nodes }: ReadCanvas, columns = 64, rows = 18): string[] {
  const cells = new Array<number>(columns * rows).fill(0);
  const place = (values: number[], steps: number) => {
    const [least, greatest] = [Math.min(...values), Math.max(...values)];
    return (value: number) => Math.min(steps - 1, Math.floor(((value - least) / (greatest - least || 1)) * steps));
  };
  const column = place(
    nodes.map(({ x = 0 }) => x),
    columns,
  );
  const row = place(
    nodes.map(({ y = 0 }) => y),
    rows,
  );
  for (const { x = 0, y = 0 } of nodes) {
    const cell = row(y) * columns + column(x);
    cells[cell] = (cells[cell] ?? 0) + 1;
  }
  const lines = Array.from({ length: rows }, (_, index) => cells.slice(index * columns, (index + 1) * columns));
  return lines.map((line) => line.map((cards) => INK[Math.min(cards, INK.length - 1)]).join(''));
}

/** A number from -0.5 to 0.5 that looks random and is always the same. */
function scatter(seed: number): number {
  const value = Math.sin(seed * 12.9898) * 43758.5453;
  return value - Math.floor(value) - 0.5;
}
