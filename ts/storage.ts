import { recoverStorage as recoverNative } from '../binding.js';
import type { StorageRecovery } from '../index.js';
import { publicError } from './errors.js';

/** Rescues what can be read of damaged storage; see `index.d.ts`. */
export async function recoverStorage(path: string): Promise<StorageRecovery> {
  try {
    return JSON.parse((await recoverNative(path)) as string);
  } catch (cause) {
    throw publicError(cause);
  }
}
