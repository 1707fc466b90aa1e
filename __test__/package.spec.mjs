import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as imported from '@mind-git/mqtt-p2p';
import { load } from 'js-yaml';
import { blocksOf } from './docs/blocks.mjs';
import { tool, withoutTool } from './helpers/checkers.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { ROOT, runNode } from './helpers/processes.mjs';

const NAMES = [
  'DEFAULT_MQTT_INTEGRATION_CONFIG',
  'MQTTIntegrationService',
  'MqttP2pError',
  'applyCanvasChanges',
  'createInvite',
  'createKeyFile',
  'recoverStorage',
  'startBroker',
];

test('import and require give the same names', () => {
  const required = createRequire(import.meta.url)('@mind-git/mqtt-p2p');
  assert.deepEqual(Object.keys(required).sort(), NAMES);
  const named = Object.entries(imported).filter(([name]) => NAMES.includes(name));
  assert.equal(named.length, NAMES.length);
  for (const [name, value] of named) assert.equal(value, required[name], name);
});

/** Everything that a user needs, and nothing else: each file belongs to one of these, and each of these has files. */
const PUBLISHED = {
  'the program': /^(dist\/[\w./-]+\.js|index\.d\.ts|binding\.js|binding\.d\.ts|package\.json)$/,
  'to build the addon from':
    /^(src\/.+\.(rs|root)|benches\/[\w/]+\.rs|benchmark\/flood\.rs|build\.rs|Cargo\.(toml|lock))$/,
  'what builds it': /^scripts\/(install|native|stamps)\.mjs$/,
  'the documents': /^((README|ARCHITECTURE|CHANGELOG)\.md|docs\/[\w-]+\.md|docs\/images\/\w+\.svg)$/,
  'for operators': /^deploy\/[\w./-]+$/,
  'to try it': /^(simple-demo\.js|examples\/[\w-]+\.canvas)$/,
};

test('what is published is what a user needs, and no more', () => {
  const [{ files }] = JSON.parse(npm(['pack', '--dry-run', '--json', '--ignore-scripts'], ROOT));
  const paths = files.map(({ path }) => path);
  const kinds = Object.values(PUBLISHED);
  assert.deepEqual(
    paths.filter((path) => kinds.filter((kind) => kind.test(path)).length !== 1),
    [],
  );
  for (const [what, kind] of Object.entries(PUBLISHED))
    assert.ok(
      paths.some((path) => kind.test(path)),
      what,
    );
  const needed = ['dist/index.js', 'dist/mqtt-cli.js', 'index.d.ts', 'binding.js', 'src/lib.rs', 'Cargo.lock'];
  for (const path of [...needed, 'README.md', 'scripts/install.mjs', 'examples/stardust-roadmap.canvas'])
    assert.ok(paths.includes(path), path);
  // All that the addon is built from, also what is no Rust.
  const options = { cwd: ROOT, encoding: 'utf8' };
  const sources = execFileSync('git', ['ls-files', 'src', 'build.rs', 'Cargo.toml', 'Cargo.lock'], options).trim();
  for (const path of sources.split('\n')) assert.ok(paths.includes(path), path);
});

describe('the packages of the platforms', () => {
  const folders = readdirSync(join(ROOT, 'npm'));
  const packages = folders.map((name) => [name, json(`npm/${name}/package.json`)]);

  test('are those that are built, and agree with the package about names and versions', () => {
    const { napi, version, engines, license } = json('package.json');
    assert.equal(packages.length, napi.targets.length);
    for (const [name, made] of packages) {
      const file = `${napi.binaryName}.${name}.node`;
      assert.deepEqual([made.name, made.version], [`@mind-git/mqtt-p2p-${name}`, version]);
      assert.deepEqual([made.main, made.files], [file, [file]]);
      assert.deepEqual([made.engines, made.license], [engines, license]);
      const [os, cpu, abi] = name.split('-');
      assert.deepEqual([made.os, made.cpu], [[os], [cpu]]);
      assert.deepEqual(made.libc, os === 'linux' ? [{ gnu: 'glibc', musl: 'musl' }[abi]] : undefined);
      const triple = /for `([\w-]+)`/.exec(readFileSync(join(ROOT, `npm/${name}/README.md`), 'utf8'))[1];
      assert.ok(napi.targets.includes(triple), triple);
    }
    assert.match(readFileSync(join(ROOT, 'Cargo.toml'), 'utf8'), new RegExp(`^version = "${version}"$`, 'm'));
  });

  // Nothing is published before a release, and npm would ask for them in vain.
  test('are no dependencies in the repository', () => {
    assert.equal(json('package.json').optionalDependencies, undefined);
  });
});

describe('a release', () => {
  const targets = readdirSync(join(ROOT, 'npm'));
  /** What a checkout has of the project, and addons of all platforms that are none. */
  function checkout(t) {
    const folder = temporaryFolder(t, 'release');
    const sources = ['package.json', 'npm', 'scripts', 'ts', 'tsconfig.json', 'Cargo.toml', 'README.md'];
    for (const name of [...sources, 'index.d.ts', 'binding.js', 'binding.d.ts'])
      cpSync(join(ROOT, name), join(folder, name), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'dir');
    mkdirSync(join(folder, 'artifacts'));
    for (const name of targets) writeFileSync(join(folder, `artifacts/mqtt-p2p.${name}.node`), name);
    return folder;
  }

  const release = (folder, env) => runNode(['scripts/release.mjs', 'artifacts'], { cwd: folder, env });
  const inside = (tarball, path) => execFileSync('tar', ['-xzOf', tarball, `package/${path}`], { encoding: 'utf8' });

  test('is a package for each platform with its addon, and the package that names them', async (t) => {
    const folder = checkout(t);
    const { version } = json('package.json');
    const env = { GITHUB_REF_TYPE: 'tag', GITHUB_REF_NAME: `v${version}` };
    const where = { GITHUB_REPOSITORY: 'somebody/something', GITHUB_SERVER_URL: 'https://example.org' };
    const { code, stdout, stderr } = await release(folder, { ...env, ...where });
    assert.equal(code, 0, stdout + stderr);
    const tarball = (name) => join(folder, `packed/mind-git-mqtt-p2p-${name}${version}.tgz`);
    assert.equal(readdirSync(join(folder, 'packed')).length, targets.length + 1);
    for (const name of targets) assert.equal(inside(tarball(`${name}-`), `mqtt-p2p.${name}.node`), name);
    const made = JSON.parse(inside(tarball(''), 'package.json'));
    assert.deepEqual(
      made.optionalDependencies,
      Object.fromEntries(targets.map((name) => [`@mind-git/mqtt-p2p-${name}`, version])),
    );
    for (const { repository } of [made, JSON.parse(inside(tarball(`${targets[0]}-`), 'package.json'))])
      assert.match(JSON.stringify(repository), /git\+https:\/\/example\.org\/somebody\/something\.git/);
  });

  test('is refused for a tag of another version, and without an addon', async (t) => {
    const folder = checkout(t);
    const other = await release(folder, { GITHUB_REF_TYPE: 'tag', GITHUB_REF_NAME: 'v0.0.1' });
    assert.match(other.stderr, /v0\.0\.1 is not that of version/);
    rmSync(join(folder, `artifacts/mqtt-p2p.${targets[0]}.node`));
    const { code, stdout, stderr } = await release(folder, { GITHUB_REF_TYPE: 'branch' });
    assert.equal(code, 1, stdout + stderr);
  });

  const workflow = '.github/workflows/build.yml';
  test('is made by a workflow in which actionlint finds no mistake', { skip: withoutTool('actionlint') }, () => {
    const { status, stdout } = tool('actionlint', [workflow]);
    assert.equal(status, 0, stdout);
  });

  test('and zizmor nothing that is unsafe', { skip: withoutTool('zizmor') }, () => {
    const { status, stdout, stderr } = tool('zizmor', ['--offline', '--no-progress', workflow]);
    assert.equal(status, 0, stdout + stderr);
  });

  test('is built and tried on every platform', () => {
    const { jobs } = load(readFileSync(join(ROOT, workflow), 'utf8'));
    const targetsOf = (...names) =>
      new Set(names.flatMap((name) => jobs[name].strategy.matrix.include.map(({ target }) => target)));
    const wanted = new Set(json('package.json').napi.targets);
    assert.deepEqual([...targetsOf('build')].sort(), [...wanted].sort());
    assert.deepEqual([...targetsOf('try', 'try-musl')].sort(), [...wanted].sort());
  });
});

describe('the packed package, in an empty project', () => {
  const platform = platformOf(process);
  let project;
  let path;

  before(() => {
    const folder = mkdtempSync(join(tmpdir(), 'mqtt-p2p-packed-'));
    project = join(folder, 'project');
    // A copy, as the package of the platform is filled at a release.
    const own = join(folder, 'platform');
    cpSync(join(ROOT, 'npm', platform), own, { recursive: true });
    cpSync(join(ROOT, `mqtt-p2p.${platform}.node`), join(own, `mqtt-p2p.${platform}.node`));
    const packed = [ROOT, own].map((source) => {
      const [{ filename }] = JSON.parse(
        npm(['pack', '--json', '--ignore-scripts', '--pack-destination', folder], source),
      );
      return join(folder, filename);
    });
    mkdirSync(project);
    writeFileSync(join(project, 'package.json'), '{ "name": "project", "private": true, "type": "module" }');
    path = brokenRust(join(folder, 'rust'));
    // With scripts: ours must find that there is nothing to build.
    npm(['install', '--no-audit', '--no-fund', '--prefer-offline', ...packed], project, { PATH: path });
  });
  after(() => rmSync(dirname(project), { recursive: true, force: true }));

  test("runs the README's first example with the addon of the platform's package", async () => {
    const installed = join(project, 'node_modules/@mind-git');
    assert.ok(!existsSync(join(installed, `mqtt-p2p/mqtt-p2p.${platform}.node`)), 'nothing was built');
    assert.ok(existsSync(join(installed, `mqtt-p2p-${platform}`)));
    const [first, second] = blocksOf('README.md').filter(({ language }) => language === 'js');
    const end = 'await Promise.all([ada.disconnect(), ben.disconnect()]);\nawait broker.stop();\nconsole.log(canvas);';
    writeFileSync(join(project, 'first.mjs'), [first.text, second.text, end].join('\n'));
    const { code, stdout, stderr } = await runNode(['first.mjs'], { cwd: project });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /Hello, world/);
  });

  test('has a command line, and types', async () => {
    const bin = join(project, 'node_modules/.bin/mqtt-p2p');
    if (process.platform !== 'win32') assert.match(execFileSync(bin, ['--version'], { encoding: 'utf8' }), /^\d+\.\d+/);
    writeFileSync(
      join(project, 'typed.ts'),
      "import { startBroker, type EmbeddedBroker } from '@mind-git/mqtt-p2p';\nexport const broker: EmbeddedBroker = await startBroker({ port: 0 });\n",
    );
    const options = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext'];
    const types = ['--typeRoots', join(ROOT, 'node_modules/@types'), '--types', 'node'];
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    const { code, stdout } = await runNode([tsc, ...options, ...types, 'typed.ts'], { cwd: project });
    assert.equal(code, 0, stdout);
  });

  test('says how to build where no addon is, and what is wrong with one that does not load', async () => {
    const folder = join(project, 'node_modules/@mind-git/mqtt-p2p');
    const addon = join(project, 'node_modules/@mind-git', `mqtt-p2p-${platform}/mqtt-p2p.${platform}.node`);
    renameSync(addon, `${addon}.hidden`);
    const cli = join(folder, 'dist/mqtt-cli.js');
    try {
      const absent = await runNode([cli, 'health'], { cwd: project });
      assert.equal(absent.code, 1);
      assert.match(
        absent.stderr,
        new RegExp(`no native addon for ${platform}[^]*rustup[^]*npm rebuild @mind-git/mqtt-p2p`),
      );
      assert.doesNotMatch(absent.stderr, / at /);
      const imported = await runNode(['--input-type=module', '-e', "import '@mind-git/mqtt-p2p'"], { cwd: project });
      assert.match(imported.stderr, /Error: @mind-git\/mqtt-p2p has no native addon/);
      writeFileSync(addon, 'no addon');
      assert.match((await runNode([cli, 'health'], { cwd: project })).stderr, /cannot be loaded: .*npm rebuild/s);
    } finally {
      renameSync(`${addon}.hidden`, addon);
    }
  });

  const windows = process.platform === 'win32' && 'Rust is hidden by scripts of a POSIX shell';
  test('its install script says what is missing to build, and fails', { skip: windows }, async () => {
    const hidden = join(project, 'node_modules/@mind-git', `mqtt-p2p-${platform}`);
    renameSync(hidden, `${hidden}.hidden`);
    try {
      const { code, stderr } = await runNode(['scripts/install.mjs'], {
        cwd: join(project, 'node_modules/@mind-git/mqtt-p2p'),
        env: { PATH: path },
      });
      assert.equal(code, 1);
      assert.match(stderr, /Rust [\d.]+ or newer is missing/);
    } finally {
      renameSync(`${hidden}.hidden`, hidden);
    }
  });

  test('has all that cargo wants to see', () => {
    const manifest = join(project, 'node_modules/@mind-git/mqtt-p2p/Cargo.toml');
    const args = [
      'metadata',
      '--locked',
      '--offline',
      '--no-deps',
      '--format-version',
      '1',
      '--manifest-path',
      manifest,
    ];
    const { packages } = JSON.parse(execFileSync('cargo', args, { encoding: 'utf8', stdio: 'pipe' }));
    for (const { src_path: path } of packages[0].targets) assert.ok(existsSync(path), path);
  });

  // Minutes of compiling: for releases, and whoever changes what is packed. See CONTRIBUTING.md.
  const skip = !process.env.MQTT_P2P_BUILD_PACKED && 'MQTT_P2P_BUILD_PACKED=1 builds it from source';
  test('is built from source where there is no addon', { skip }, async () => {
    const hidden = join(project, 'node_modules/@mind-git', `mqtt-p2p-${platform}`);
    rmSync(hidden, { recursive: true });
    // Whether it is built is the question, not how fast it is.
    const hasty = { CARGO_PROFILE_RELEASE_LTO: 'off', CARGO_PROFILE_RELEASE_OPT_LEVEL: '0' };
    npm(['rebuild', '@mind-git/mqtt-p2p', '--foreground-scripts'], project, hasty);
    assert.ok(existsSync(join(project, `node_modules/@mind-git/mqtt-p2p/mqtt-p2p.${platform}.node`)));
    const { code, stderr } = await runNode(['first.mjs'], { cwd: project });
    assert.equal(code, 0, stderr);
  });
});

function json(path) {
  return JSON.parse(readFileSync(join(ROOT, path), 'utf8'));
}

function npm(args, cwd, env = {}) {
  const shell = process.platform === 'win32';
  return execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: 'pipe', shell, env: { ...process.env, ...env } });
}

/** A folder with a Rust that does not run, for the front of the path: nothing may be built. */
function brokenRust(folder) {
  mkdirSync(folder);
  for (const name of ['cargo', 'rustc']) writeFileSync(join(folder, name), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  return [folder, process.env.PATH].join(delimiter);
}

function platformOf({ platform, arch, report }) {
  if (platform === 'win32') return `win32-${arch}-msvc`;
  if (platform !== 'linux') return `${platform}-${arch}`;
  return `linux-${arch}-${report.getReport().header.glibcVersionRuntime ? 'gnu' : 'musl'}`;
}
