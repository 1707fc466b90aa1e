import { readFileSync } from 'node:fs';
import { visible } from './text.js';

/** A file's text; empty for one that is not there, and for `/dev/null`, which git names where a side has no file. */
export function textOrNothing(path: string): string {
  try {
    return text(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/** A file's text, byte order mark included. Bytes that are no text are refused: they would not come back. */
export function text(path: string): string {
  // Windows has no /dev/null, but git says so there too.
  const bytes = path === '/dev/null' ? Buffer.alloc(0) : readFileSync(path);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Error(`${visible(path)} is not UTF-8`);
  }
}
