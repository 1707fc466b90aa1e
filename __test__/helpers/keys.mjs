import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKeyFile } from '@mind-git/mqtt-p2p';
import { scoped } from './teardown.mjs';

/** A new key file in a folder of its own, removed after the test. */
export async function newKey(t) {
  const folder = mkdtempSync(join(tmpdir(), 'mqtt-p2p-key-'));
  scoped(t).defer(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'team.key');
  await createKeyFile(path);
  return path;
}

/** Options of a service whose repositories are encrypted with a key. */
export const encrypted = (keyFile) => ({ features: { encryption: true }, encryption: { keyFile } });
