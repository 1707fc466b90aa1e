import { join } from 'node:path';
import { createKeyFile } from '@mind-git/mqtt-p2p';
import { temporaryFolder } from './folders.mjs';

/** A new key file in a folder of its own, removed after the test. */
export async function newKey(t) {
  const path = join(temporaryFolder(t, 'key'), 'team.key');
  await createKeyFile(path);
  return path;
}

/** Options of a service whose repositories are encrypted with a key. */
export const encrypted = (keyFile) => ({ features: { encryption: true }, encryption: { keyFile } });
