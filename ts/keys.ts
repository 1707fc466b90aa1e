import { createKeyFile as createNative } from '../binding.js';
import { publicError } from './errors.js';

/** Makes a key for encrypted repositories; see `index.d.ts`. */
export async function createKeyFile(path: string): Promise<void> {
  try {
    createNative(path);
  } catch (cause) {
    throw publicError(cause);
  }
}
