import { describeCanvasTexts, mergeCanvasTexts, plainCanvasText } from '../binding.js';
import { publicError } from './errors.js';

/** Two branches of a file in one. */
export interface MergedText {
  /** The file; where there are conflicts, with both sides between git's markers. */
  text: string;
  /** A line about each conflict; none if the text is a canvas. */
  conflicts: string[];
}

/** Merges three texts of a canvas; blank ones are empty canvases. Throws `ERR_CANVAS_INVALID`, saying which and where. */
export function mergeTexts(base: string, ours: string, theirs: string, markerSize: number): MergedText {
  return JSON.parse(native(() => mergeCanvasTexts(base, ours, theirs, markerSize)));
}

/** What changed between two texts of a canvas, in words; errors as for `mergeTexts`. */
export function describeTexts(before: string, after: string): string[] {
  return JSON.parse(native(() => describeCanvasTexts(before, after)));
}

/** A canvas one element a line, keys in the usual order; errors as for `mergeTexts`. */
export function plainText(text: string): string {
  return native(() => plainCanvasText(text));
}

function native<T>(call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw publicError(cause);
  }
}
