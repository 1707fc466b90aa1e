import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { eachBroker } from './helpers/broker.mjs';
import { cli, cliJson, lineOf, startCli, urlOf } from './helpers/cli.mjs';
import { freePort } from './helpers/ports.mjs';
import { onePeer } from './helpers/two-peers.mjs';
import { until } from './helpers/wait.mjs';

/** A running server with probes and metrics, and what it said when it was ready. */
async function serve(t, ...args) {
  const server = startCli(t, [
    'server',
    '--repositories',
    'team',
    '--http',
    '127.0.0.1:0',
    '--memory',
    '--json',
    ...args,
  ]);
  const ready = await lineOf(server, ({ event }) => event === 'ready', 'the server is up');
  const get = async (path) => {
    const response = await fetch(ready.http + path);
    return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
  };
  return { server, ready, get };
}

/** The value of a series in Prometheus text; `series` as it is written there. */
function metric(text, series) {
  const line = text.split('\n').find((line) => line.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

describe('server --http', () => {
  eachBroker('answers probes and tells Prometheus what happens', async (t, broker) => {
    const { ready, get } = await serve(t, '--broker', urlOf(broker));
    assert.deepEqual([ready.embedded, ready.broker], [false, urlOf(broker)]);
    assert.equal((await get('/healthz')).status, 200);
    const readiness = await get('/readyz');
    assert.deepEqual([readiness.status, JSON.parse(readiness.text).connected], [200, true]);
    assert.equal((await get('/')).status, 404);

    const ada = await onePeer(t, broker);
    await ada.createCanvas('team', 'plan', { nodes: [{ id: 'a' }] }, 'Ada');
    for (let x = 0; x < 5; x++) await ada.patchCanvas('team', 'plan', { nodes: { upsert: [{ id: 'a', x }] } }, 'Ada');
    const scrape = async () => (await get('/metrics')).text;
    const series = 'mqtt_p2p_edits_total{repository="team",origin="remote"}';
    const text = await until(async () => {
      const text = await scrape();
      return metric(text, series) >= 5 && metric(text, 'mqtt_p2p_canvases{repository="team"}') === 1 && text;
    }, 'the edits are counted');
    assert.match((await get('/metrics')).type, /^text\/plain/);
    assert.equal(metric(text, 'mqtt_p2p_connected'), 1);
    assert.equal(metric(text, 'mqtt_p2p_peers{repository="team"}'), 1);
    const changes = 'mqtt_p2p_traffic_bytes_total{repository="team",kind="changes",direction="received"}';
    assert.ok(metric(text, changes) > 500, text);
    for (const histogram of ['apply', 'end_to_end']) {
      const count = metric(text, `mqtt_p2p_${histogram}_seconds_count{repository="team"}`);
      assert.ok(count > 0, histogram);
      assert.equal(metric(text, `mqtt_p2p_${histogram}_seconds_bucket{repository="team",le="+Inf"}`), count);
    }
    assert.ok(metric(text, 'mqtt_p2p_acknowledge_seconds_count') > 0);
    assert.ok(metric(text, 'process_resident_memory_bytes') > 0);
  });

  test('says when the broker is away, and is alive all the same', async (t) => {
    const port = await freePort();
    const { startMosquitto } = await import('./helpers/mosquitto.mjs');
    const broker = await startMosquitto(undefined, undefined, port).catch(() => undefined);
    if (!broker) return t.skip('Mosquitto is not installed');
    const { get } = await serve(t, '--broker', urlOf(broker));
    await broker.kill();
    await until(async () => (await get('/readyz')).status === 503, 'it is not ready');
    assert.equal((await get('/healthz')).status, 200);
  });

  test('a port that is taken is a failure: status 1', async (t) => {
    const { ready } = await serve(t, '--listen', `127.0.0.1:${await freePort()}`);
    assert.equal(ready.embedded, true);
    const { host } = new URL(ready.http);
    const { code, stderr } = await cli(['server', '--memory', '--listen', '127.0.0.1:0', '--http', host]);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(host));
  });

  test('--websocket-listen is for browsers and the like', async (t) => {
    const { ready, server } = await serve(t, '--listen', '127.0.0.1:0', '--websocket-listen', '0');
    assert.match(ready.websocket, /^ws:\/\/127\.0\.0\.1:\d+/);
    const { peers } = await cliJson(['peers', '--broker', ready.websocket, '--repositories', 'team']);
    assert.equal(peers[0].id, ready.peerId, server.output());
    assert.equal((await cli(['server', '--broker', ready.broker, '--websocket-listen', '0'])).code, 2);
  });

  test('SIGTERM ends it cleanly, also while somebody holds a connection', async (t) => {
    const { server, ready } = await serve(t, '--listen', `127.0.0.1:${await freePort()}`);
    const { hostname, port } = new URL(ready.http);
    const held = connect(Number(port), hostname);
    held.on('error', () => {});
    await new Promise((resolve) => held.once('connect', resolve));
    server.kill('SIGTERM');
    assert.deepEqual(await server.ended, [0, null], server.output());
  });
});
