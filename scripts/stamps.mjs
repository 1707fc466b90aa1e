// Remembers from which sources something was made, by content: switching branches or touching files makes nothing stale.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the package. */
export const root = fileURLToPath(new URL('..', import.meta.url));

const stampFile = join(root, '.stamps.json');

/** SHA-256 over the names and contents of the given files and folders (relative to the root; missing ones count as such). */
export function digest(paths) {
  const hash = createHash('sha256');
  for (const path of paths.flatMap(filesIn)) {
    const file = join(root, path);
    hash
      .update(`${path}\0`)
      .update(existsSync(file) ? readFileSync(file) : 'missing')
      .update('\0');
  }
  return hash.digest('hex');
}

function filesIn(path) {
  const full = join(root, path);
  if (!existsSync(full) || !statSync(full).isDirectory()) return [path];
  return readdirSync(full)
    .sort()
    .flatMap((name) => filesIn(`${path}/${name}`));
}

/** What was noted when `name` was made; undefined when it never was. */
export function stampOf(name) {
  return readStamps()[name];
}

/** Notes what `name` was made from. Call it once the thing is there. */
export function stamp(name, value) {
  writeFileSync(stampFile, `${JSON.stringify({ ...readStamps(), [name]: value }, null, 2)}\n`);
}

function readStamps() {
  try {
    return JSON.parse(readFileSync(stampFile, 'utf8'));
  } catch {
    return {}; // Absent or damaged: everything is made again.
  }
}
