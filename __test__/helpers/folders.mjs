import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { scoped } from './teardown.mjs';

/** A fresh directory, removed after the test. */
export function temporaryFolder(t, name = 'test') {
  const folder = mkdtempSync(join(tmpdir(), `mqtt-p2p-${name}-`));
  scoped(t).defer(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
