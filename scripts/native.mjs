// Builds the native addon from source: `node scripts/native.mjs [profile]`, with a cargo profile (default: release).
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { digest, root, stamp, stampOf } from './stamps.mjs';

const SOURCES = ['Cargo.toml', 'Cargo.lock', 'build.rs', 'src'];

/** Platform part of the addon's file name, as napi-rs writes it. */
function platform() {
  const { platform, arch } = process;
  if (platform === 'win32') return `win32-${arch}-msvc`;
  if (platform !== 'linux') return `${platform}-${arch}`;
  const glibc = process.report.getReport().header.glibcVersionRuntime;
  return `linux-${arch}-${glibc ? 'gnu' : 'musl'}`;
}

const addon = join(root, `mqtt-p2p.${platform()}.node`);

/** Whether an addon is there that was built from the sources as they are; with `profile`, only one built with it. */
export function isFresh(profile) {
  const made = stampOf('addon');
  if (!made || !existsSync(addon) || !existsSync(join(root, 'binding.js'))) return false;
  return made.digest === digest(SOURCES) && (profile === undefined || made.profile === profile);
}

/** Whether a package with a prebuilt addon for this platform is installed. */
export function hasPrebuilt() {
  try {
    createRequire(join(root, 'package.json')).resolve(`@mind-git/mqtt-p2p-${platform()}`);
    return true;
  } catch {
    return false;
  }
}

/** What is missing for building, as sentences that say what to do. */
export function missingTools() {
  const missing = [];
  const wanted = /^rust-version = "(.+)"$/m.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))[1];
  const rustc = versionOf('rustc');
  if (!rustc || !versionOf('cargo')) missing.push(`Rust ${wanted} or newer is missing. Install it with rustup.`);
  else if (isOlder(rustc, wanted))
    missing.push(`Rust ${wanted} or newer is needed, found ${rustc}: run "rustup update".`);
  const compiler = process.env.CC ?? 'cc';
  if (process.platform !== 'win32' && !versionOf(compiler)) {
    missing.push(
      `A C compiler ("${compiler}") is missing. Install one, on Debian with "apt-get install gcc libc6-dev".`,
    );
  }
  return missing;
}

function versionOf(tool) {
  const { status, stdout } = spawnSync(tool, ['--version'], { encoding: 'utf8' });
  return status === 0 ? (/\d+\.\d+(\.\d+)?/.exec(stdout)?.[0] ?? 'unknown') : undefined;
}

function isOlder(version, than) {
  const [a, b] = [version, than].map((text) => text.split('.').map(Number));
  return a[0] !== b[0] ? a[0] < b[0] : a[1] < b[1];
}

/** Builds the addon; throws with a message for people. */
export function buildNative(profile) {
  const missing = missingTools();
  if (missing.length > 0) throw new Error(missing.join('\n'));
  const sources = digest(SOURCES);
  const napi = napiCommand();
  if (napi) {
    // Also writes binding.js and binding.d.ts.
    const names = ['--platform', '--js', 'binding.js', '--dts', 'binding.d.ts', '--no-const-enum'];
    run(process.execPath, [napi, 'build', ...names, '--profile', profile, '--', '--locked']);
  } else {
    // In an application's node_modules: binding.js came with the package.
    run('cargo', ['build', '--lib', '--locked', '--profile', profile]);
    copyFileSync(join(root, 'target', profile === 'dev' ? 'debug' : profile, libraryName()), addon);
    rmSync(join(root, 'target'), { recursive: true, force: true });
  }
  stamp('addon', { digest: sources, profile });
}

function napiCommand() {
  const file = join(root, 'node_modules/@napi-rs/cli/dist/cli.js');
  return existsSync(file) ? file : undefined;
}

function libraryName() {
  if (process.platform === 'win32') return 'mqtt_p2p.dll';
  return process.platform === 'darwin' ? 'libmqtt_p2p.dylib' : 'libmqtt_p2p.so';
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) throw new Error(`"${command} ${args.join(' ')}" failed, see above.`);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    buildNative(process.argv[2] ?? 'release');
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
