// Runs cargo with the profile and target that the addon is built with, so that dependencies are built once for the addon,
// the tests and clippy: `node scripts/cargo.mjs test`, `node scripts/cargo.mjs clippy --all-targets -- -D warnings`.
import { spawnSync } from 'node:child_process';
import { root } from './stamps.mjs';

const [command, ...rest] = process.argv.slice(2);
const { stdout } = spawnSync('rustc', ['-vV'], { encoding: 'utf8' });
const host = /^host: (.+)$/m.exec(stdout ?? '')?.[1];
// @napi-rs/cli names the target even when it is the host; for cargo that is another folder of artifacts.
const target = host ? ['--target', host] : [];
const args = [command, '--locked', '--profile', 'quick', ...target, ...rest];
const { status, error } = spawnSync('cargo', args, { cwd: root, stdio: 'inherit' });
if (error) console.error(`cargo cannot be run: ${error.message}`);
process.exitCode = status ?? 1;
