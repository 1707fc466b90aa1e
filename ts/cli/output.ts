import { pad, padLeft, width } from './text.js';

const colourful = process.env.FORCE_COLOR ? true : Boolean(process.stdout.isTTY) && !process.env.NO_COLOR;

const paint = (code: number) => (text: string) => (colourful && text !== '' ? `\u001b[${code}m${text}\u001b[0m` : text);

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they are.
const COLOURS = /\u001b\[\d+m/g;

/** Colours for standard output; plain text where it is no terminal or NO_COLOR is set. */
export const colour = {
  bold: paint(1),
  dim: paint(2),
  red: paint(31),
  green: paint(32),
  yellow: paint(33),
  blue: paint(34),
  magenta: paint(35),
  cyan: paint(36),
};

export const TICK = colour.green('✓');
export const CROSS = colour.red('✗');

/** Prints one line of text. */
export function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** Prints one line about what goes on, on standard error: it is no part of what was asked for. */
export function note(line: string): void {
  // Colours are chosen for standard output; what goes to a file has none.
  const plain = process.stderr.isTTY || process.env.FORCE_COLOR ? line : line.replaceAll(COLOURS, '');
  process.stderr.write(`${plain}\n`);
}

/** Prints one line of JSON. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

/**
 * Lays rows out in columns: the first to the left, the others to the right, or those named in `left` to the left too. The
 * first row is the heading.
 */
export function table(rows: string[][], left: number[] = []): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => width(row[column] ?? ''))));
  return rows.map((row, index) => {
    const cells = row.map((cell, column) => {
      const columns = widths[column] ?? 0;
      return column === 0 || left.includes(column) ? pad(cell, columns) : padLeft(cell, columns);
    });
    const line = cells.join('   ').trimEnd();
    return index === 0 ? colour.dim(line) : line;
  });
}

/** A time span for people. */
export function milliseconds(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms.toFixed(ms < 10 ? 2 : 0)} ms`;
}

/** The time of day, for the start of a line. */
export function clock(now = new Date()): string {
  return colour.dim(now.toTimeString().slice(0, 8));
}

/** A peer id, shortened: its end is what differs. */
export function shortPeer(id: string): string {
  return `…${id.slice(-8)}`;
}

/** The value below which a share of the sorted values lies. */
export function percentile(sorted: number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
