import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import * as imported from '@mind-git/mqtt-p2p';
import { ROOT } from './helpers/processes.mjs';

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

test('what is published holds what an install needs, and no more', () => {
  const [{ files }] = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: 'pipe',
    }),
  );
  const paths = files.map(({ path }) => path);
  const needed = [
    'dist/index.js',
    'dist/mqtt-cli.js',
    'index.d.ts',
    'binding.js',
    'src/lib.rs',
    'Cargo.toml',
    'Cargo.lock',
    'README.md',
  ];
  for (const path of [...needed, 'scripts/install.mjs', 'examples/stardust-roadmap.canvas'])
    assert.ok(paths.includes(path), path);
  const strays = paths.filter((path) => /^(target|node_modules|__test__|ts|\.ci)\/|\.node$|^\.stamps/.test(path));
  assert.deepEqual(strays, []);
});
