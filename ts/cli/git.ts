import { spawnSync } from 'node:child_process';
import { parse } from 'node:path';

/** Which of git's configurations. */
export type Scope = 'local' | 'global' | 'system';

/** Runs git and gives what it printed, or undefined when its status is one of `allowed`. Other failures are thrown. */
export function git(args: string[], { scope = 'local' as Scope, allowed = [] as number[] } = {}): string | undefined {
  // What a repository overrides is not asked for when the user's or the system's configuration is meant.
  const cwd = scope === 'local' ? process.cwd() : parse(process.cwd()).root;
  const { status, stdout, stderr, error } = spawnSync('git', args, { cwd, encoding: 'utf8' });
  if (error) throw new Error(`git cannot be run: ${error.message}`);
  if (status === 0) return stdout.replace(/\r?\n$/, '');
  if (status !== null && allowed.includes(status)) return undefined;
  throw new Error(stderr.trim() || `git ${args.join(' ')} failed`);
}
