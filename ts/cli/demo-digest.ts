import { createHash } from 'node:crypto';
import type { ReadCanvas } from '../index.js';

/** What two processes compare to know that they hold the same canvas. */
export function digest(canvas: ReadCanvas): string {
  return createHash('sha256').update(JSON.stringify(canvas)).digest('hex');
}
