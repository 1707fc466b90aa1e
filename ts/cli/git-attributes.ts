import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { git, type Scope } from './git.js';

/** What makes git use our drivers. */
export const ATTRIBUTES = '*.canvas merge=mqtt-p2p diff=mqtt-p2p';

/** The file of attributes that git reads beside each configuration. */
export function attributesFile(scope: Scope): string {
  if (scope === 'local') return resolve(git(['rev-parse', '--git-path', 'info/attributes']) ?? '');
  if (scope === 'global') {
    const named = git(['config', '--type=path', '--get', 'core.attributesFile'], { scope, allowed: [1] });
    return named ?? join(process.env.XDG_CONFIG_HOME || join(homedir(), '.config'), 'git', 'attributes');
  }
  const path = git(['var', 'GIT_ATTR_SYSTEM'], { scope, allowed: [1, 128, 129] });
  if (!path) throw new Error('git does not tell where the attributes of the system are; it does since version 2.42');
  return path;
}

/** Whether the line is in the file. */
export function hasAttributes(file: string): boolean {
  return read(file).split('\n').includes(ATTRIBUTES);
}

/** Adds the line at the end; what is there stays as it is. */
export function addAttributes(file: string): void {
  if (hasAttributes(file)) return;
  const text = read(file);
  mkdirSync(dirname(file), { recursive: true });
  // A last line without an end gets one, and ours none, so that removing it gives back what was there.
  writeFileSync(file, text === '' || text.endsWith('\n') ? `${text}${ATTRIBUTES}\n` : `${text}\n${ATTRIBUTES}`);
}

/** Removes the line, and a file that holds nothing else. */
export function removeAttributes(file: string): void {
  if (!hasAttributes(file)) return;
  const lines = read(file).split('\n');
  const text = lines.filter((line) => line !== ATTRIBUTES).join('\n');
  if (text === '') rmSync(file);
  else writeFileSync(file, text);
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
