import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { eachBroker, embedded, mosquitto, mosquittoTest } from './helpers/broker.mjs';
import { cli, cliJson, urlOf } from './helpers/cli.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { freePort } from './helpers/ports.mjs';
import { onePeer } from './helpers/two-peers.mjs';

const check = ({ checks }, name) => checks.find((check) => check.name.startsWith(name));

describe('health', () => {
  eachBroker('looks at the broker, the peers and the place for canvases', async (t, broker) => {
    const ada = await onePeer(t, broker);
    await ada.createCanvas('team', 'plan', { nodes: [{ id: 'a' }] }, 'Ada');
    const folder = temporaryFolder(t);
    const args = ['health', '--broker', urlOf(broker), '--repositories', 'team', '--data-dir', folder];
    const report = await cliJson(args);
    assert.equal(report.healthy, true, JSON.stringify(report));
    for (const name of ['connecting', 'broker', 'round trip', 'QoS 1', 'retained messages', 'storage', 'clocks'])
      assert.equal(check(report, name)?.ok, true, name);
    assert.match(check(report, 'clocks').detail, /1 peer was heard/);
    assert.match(check(report, 'catching up with team').detail, /1 canvas/);
    assert.deepEqual(readdirSync(folder), []);

    const { code, stdout } = await cli(args);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /✓ round trip +[\d.]+ ms there and back/);
    assert.match(stdout, /healthy\n$/);
  });

  mosquittoTest('nothing is left on the broker', async (t) => {
    const broker = await mosquitto(t);
    await cliJson(['health', '--broker', urlOf(broker)]);
    const { connectAsync } = await import('mqtt');
    const client = await connectAsync(urlOf(broker));
    const kept = [];
    client.on('message', (topic) => kept.push(topic));
    await client.subscribeAsync('mind-git/v1/probe/#', { qos: 1 });
    // The broker sends what it keeps before it answers what comes later.
    await client.publishAsync('mind-git/after', 'x', { qos: 1 });
    await client.endAsync();
    assert.deepEqual(kept, []);
  });

  mosquittoTest('a broker that keeps nothing is unhealthy, and it is said what to do', async (t) => {
    const broker = await mosquitto(t, ['allow_anonymous true', 'retain_available false']);
    const report = await cliJson(['health', '--broker', urlOf(broker)], { code: 1 });
    assert.equal(check(report, 'retained messages').ok, false);
    // Mosquitto throws out who has it retain something: the connection breaks over and over.
    assert.match(check(report, 'broker').detail, /rules or limits forbid/);
    assert.equal(check(report, 'catching up with default').ok, false);
    for (const { ok, remedy } of report.checks) assert.ok(ok || remedy);
  });

  test('no broker, and no place to write: status 1, with what to do', async (t) => {
    const broker = `mqtt://127.0.0.1:${await freePort()}`;
    const { code, stdout } = await cli(['health', '--broker', broker]);
    assert.equal(code, 1);
    assert.match(stdout, /✗ broker +ERR_BROKER_UNREACHABLE/);
    assert.match(stdout, /start the broker/);
    assert.match(stdout, /unhealthy\n$/);
    if (process.getuid?.() === 0) return;
    const folder = temporaryFolder(t);
    chmodSync(folder, 0o500);
    const report = await cliJson(['health', '--broker', urlOf(await embedded(t)), '--data-dir', folder], { code: 1 });
    assert.equal(check(report, 'storage').ok, false);
  });

  test('a directory that is not there yet is not made', async (t) => {
    const folder = join(temporaryFolder(t), 'to', 'come');
    const report = await cliJson(['health', '--broker', urlOf(await embedded(t)), '--data-dir', folder]);
    assert.match(check(report, 'storage').detail, /can be made/);
    assert.equal(existsSync(folder), false);
  });
});
