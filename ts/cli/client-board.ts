import type { CanvasEdge, CanvasNode, ReadCanvas } from '../index.js';
import { clip, width as columnsOf, visible } from './text.js';

/** What a character of a terminal covers, in pixels. */
const PIXELS_A_COLUMN = 10;
const PIXELS_A_ROW = 20;
const MIN_COLUMNS = 5;
const MIN_ROWS = 3;
const MAX_ROWS = 60;
/** With more boxes than this, arrows take the first way. */
const MAX_AVOIDED = 200;
const DEFAULT_NODE = { width: 220, height: 60 };

interface Box {
  id: string;
  left: number;
  top: number;
  columns: number;
  rows: number;
  text: string[];
  group: boolean;
}

/** Draws a canvas as boxes and arrows, at most so many columns wide. */
export function board(canvas: ReadCanvas, columns: number): string[] {
  if (canvas.nodes.length === 0) return ['(an empty canvas)'];
  const boxes = place(canvas.nodes, columns);
  const grid = new Grid();
  // Groups are behind everything.
  for (const box of boxes.filter(({ group }) => group)) grid.box(box);
  const byId = new Map(boxes.map((box) => [box.id, box]));
  const ends = canvas.edges.map((edge) => [edge, byId.get(edge.fromNode ?? ''), byId.get(edge.toNode ?? '')] as const);
  const cards = boxes.filter(({ group }) => !group);
  const arrows = ends.flatMap(([edge, from, to]) => (from && to ? [{ edge, to, points: route(from, to, cards) }] : []));
  for (const { points } of arrows) grid.path(points);
  for (const box of cards) grid.box(box);
  for (const { edge, points, to } of arrows) grid.head(edge, points, to);
  return grid.lines(columns);
}

/** Where the boxes are, so that the whole canvas fits. */
function place(nodes: CanvasNode[], columns: number): Box[] {
  const numbers = nodes.map((node) => ({
    node,
    x: finite(node.x, 0),
    y: finite(node.y, 0),
    width: finite(node.width, DEFAULT_NODE.width),
    height: finite(node.height, DEFAULT_NODE.height),
  }));
  const left = Math.min(...numbers.map(({ x }) => x));
  const top = Math.min(...numbers.map(({ y }) => y));
  const right = Math.max(...numbers.map(({ x, width }) => x + width));
  const bottom = Math.max(...numbers.map(({ y, height }) => y + height));
  const across = Math.min(1 / PIXELS_A_COLUMN, (columns - 1) / Math.max(1, right - left));
  const down = Math.min(1 / PIXELS_A_ROW, (MAX_ROWS - 1) / Math.max(1, bottom - top));
  return numbers.map(({ node, x, y, width, height }) => {
    const box = {
      left: Math.round((x - left) * across),
      top: Math.round((y - top) * down),
      columns: Math.max(MIN_COLUMNS, Math.round(width * across)),
      rows: Math.max(MIN_ROWS, Math.round(height * down)),
    };
    const kept = { ...box, left: Math.max(0, Math.min(box.left, columns - box.columns)) };
    return { id: node.id, ...kept, text: words(node, box.columns - 2, box.rows - 2), group: node.type === 'group' };
  });
}

/** What a node shows, in its box: text, or what it stands for, broken at words. */
function words(node: CanvasNode, columns: number, rows: number): string[] {
  const shown = [node.text, node.file, node.url, node.label].find((value) => typeof value === 'string') ?? node.id;
  const lines: string[] = [];
  for (const paragraph of String(shown).split('\n')) {
    let line = '';
    for (const word of visible(paragraph).split(' ')) {
      const longer = line === '' ? word : `${line} ${word}`;
      if (columnsOf(longer) <= columns || line === '') line = longer;
      else {
        lines.push(line);
        line = word;
      }
    }
    lines.push(line);
  }
  const kept = lines.slice(0, Math.max(1, rows)).map((line) => clip(line, columns));
  if (lines.length > kept.length) kept[kept.length - 1] = clip(`${kept.at(-1)} …`, columns);
  return kept;
}

type Point = [x: number, y: number];

/** From the middle of one box to the middle of the other with one corner, where that hides less behind other boxes. */
function route(from: Box, to: Box, boxes: Box[]): Point[] {
  const [start, end] = [middle(from), middle(to)];
  const ways = [line(start, [end[0], start[1]], end), line(start, [start[0], end[1]], end)];
  const others = boxes.length > MAX_AVOIDED ? [] : boxes.filter((box) => box !== from && box !== to);
  const hidden = (points: Point[]) => points.filter((point) => others.some((box) => inside(point, box))).length;
  const [across = [], down = []] = ways;
  return hidden(down) < hidden(across) ? down : across;
}

/** All points of a line with a corner, which lies straight from either end. */
function line(start: Point, corner: Point, end: Point): Point[] {
  const points: Point[] = [];
  let [x, y] = start;
  for (const [toX, toY] of [corner, end]) {
    while (x !== toX || y !== toY) {
      points.push([x, y]);
      x += Math.sign(toX - x);
      y += Math.sign(toY - y);
    }
  }
  points.push(end);
  return points;
}

function middle({ left, top, columns, rows }: Box): Point {
  return [left + Math.floor(columns / 2), top + Math.floor(rows / 2)];
}

function inside([x, y]: Point, { left, top, columns, rows }: Box): boolean {
  return x >= left && x < left + columns && y >= top && y < top + rows;
}

class Grid {
  readonly #rows: string[][] = [];

  box({ left, top, columns, rows, text, group }: Box): void {
    const [tl, tr, bl, br, h, v] = group ? '┌┐└┘┄┆' : '╭╮╰╯─│';
    const bar = (h ?? '').repeat(columns - 2);
    this.#write(left, top, `${tl}${bar}${tr}`);
    for (let row = 1; row < rows - 1; row++) {
      this.#write(left, top + row, v ?? '');
      // What is in a group stays to be seen.
      if (!group) this.#write(left + 1, top + row, ' '.repeat(columns - 2));
      this.#write(left + columns - 1, top + row, v ?? '');
    }
    this.#write(left, top + rows - 1, `${bl}${bar}${br}`);
    const first = group ? top : top + Math.max(1, Math.floor((rows - text.length) / 2));
    for (const [index, line] of (group ? text.slice(0, 1) : text).entries()) this.#write(left + 1, first + index, line);
  }

  path(points: Point[]): void {
    for (const [index, [x, y]] of points.entries()) {
      const [before, after] = [points[index - 1] ?? points[index], points[index + 1] ?? points[index]];
      this.#write(x, y, corner(before ?? [x, y], [x, y], after ?? [x, y]));
    }
  }

  /** The arrow's head where it meets its box, unless the edge says that it has none. */
  head({ toEnd }: CanvasEdge, points: Point[], to: Box): void {
    if (toEnd === 'none') return;
    const at = points.findIndex((point) => inside(point, to)) - 1;
    const [point, next] = [points[at], points[at + 1]];
    if (!point || !next) return;
    const [dx, dy] = [next[0] - point[0], next[1] - point[1]];
    this.#write(point[0], point[1], dx > 0 ? '▶' : dx < 0 ? '◀' : dy > 0 ? '▼' : '▲');
  }

  lines(columns: number): string[] {
    return this.#rows.map((row) =>
      clip(
        Array.from(row, (cell) => cell ?? ' ')
          .join('')
          .trimEnd(),
        columns,
      ),
    );
  }

  /** Each character in its cell; a wide one takes the next one too. */
  #write(x: number, y: number, text: string): void {
    while (this.#rows.length <= y) this.#rows.push([]);
    const row = this.#rows[y] as string[];
    let column = x;
    for (const { segment } of new Intl.Segmenter().segment(text)) {
      row[column] = segment;
      if (columnsOf(segment) === 2) row[++column] = '';
      column++;
    }
  }
}

/** The line through a point, by where it comes from and goes to. */
function corner(before: Point, [x, y]: Point, after: Point): string {
  const horizontal = before[1] === y && after[1] === y;
  const vertical = before[0] === x && after[0] === x;
  if (horizontal) return '─';
  if (vertical) return '│';
  const right = before[0] > x || after[0] > x;
  const down = before[1] > y || after[1] > y;
  return right ? (down ? '┌' : '└') : down ? '┐' : '┘';
}

function finite(value: unknown, otherwise: number): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : otherwise;
}
