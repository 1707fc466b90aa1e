import { createKeyFile as createNative, createInvite as createNativeInvite } from '../binding.js';
import { publicError } from './errors.js';

/** Makes a key for encrypted repositories; see `index.d.ts`. */
export async function createKeyFile(path: string): Promise<void> {
  try {
    createNative(path);
  } catch (cause) {
    throw publicError(cause);
  }
}

/** Makes an invite, which with a passphrase gives a key; see `index.d.ts`. */
export async function createInvite(): Promise<string> {
  try {
    return createNativeInvite();
  } catch (cause) {
    throw publicError(cause);
  }
}
