import { stripVTControlCharacters } from 'node:util';

const CONTROL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu;
/** What terminals draw two columns wide. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u;
const graphemes = new Intl.Segmenter();

/** What others wrote, fit for a terminal: nothing in it moves the cursor, changes colours or the direction of writing. */
export function visible(text: string): string {
  return text.replace(CONTROL, (character) => {
    // It joins what is one picture, and does nothing else.
    if (character === '\u200d') return character;
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}

/** Columns that a text without control characters takes in a terminal; colours take none. */
export function width(text: string): number {
  let columns = 0;
  for (const { segment } of graphemes.segment(stripVTControlCharacters(text))) columns += WIDE.test(segment) ? 2 : 1;
  return columns;
}

/** The text filled up with spaces to a number of columns. */
export function pad(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - width(text)));
}

/** The text filled up on its left. */
export function padLeft(text: string, columns: number): string {
  return ' '.repeat(Math.max(0, columns - width(text))) + text;
}

/** The text cut to a number of columns, which a point of ellipsis says. Not for coloured text. */
export function clip(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  let kept = '';
  let used = 0;
  for (const { segment } of graphemes.segment(text)) {
    const next = used + (WIDE.test(segment) ? 2 : 1);
    if (next > columns - 1) break;
    kept += segment;
    used = next;
  }
  return columns > 0 ? `${kept}…` : '';
}

/** A number of bytes for people. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A number of something, in words. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
