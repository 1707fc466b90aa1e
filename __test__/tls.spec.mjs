import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { describe, test } from 'node:test';
import { mosquitto, mosquittoTest } from './helpers/broker.mjs';
import { nodeOf, smallCanvas } from './helpers/canvases.mjs';
import { certificateAuthority, validity } from './helpers/certificates.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { startMosquitto } from './helpers/mosquitto.mjs';
import { freePort } from './helpers/ports.mjs';
import { runNode, startNode } from './helpers/processes.mjs';
import { scoped } from './helpers/teardown.mjs';
import { CANVAS, newPeer, onePeer, REPOSITORY, rejectsWith, twoPeers, untilEqual } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

/** Lines of Mosquitto's configuration for TLS with a certificate, and the files that they name. */
function tlsListener(ca, { cert, key }, ...lines) {
  const files = { 'ca.pem': ca.cert, 'cert.pem': cert, 'key.pem': key };
  const tls = ['cafile {folder}/ca.pem', 'certfile {folder}/cert.pem', 'keyfile {folder}/key.pem'];
  return [['allow_anonymous true', ...tls, ...lines], files];
}

/** How a service reaches such a listener. */
const over = (protocol, tls) => ({ broker: { protocol, ...(tls && { tls }) } });

/** What a service meets at a broker with the given certificate. */
async function meets(t, ca, certificate, tls, code = 'ERR_BROKER_REJECTED', ...lines) {
  const broker = await mosquitto(t, ...tlsListener(ca, certificate, ...lines));
  return (await rejectsWith(newPeer(t, broker, over('mqtts', tls)).initialize(), code)).message;
}

const CARRIERS = [
  ['mqtts', 'TLS', true],
  ['ws', 'WebSockets', false],
  ['wss', 'WebSockets over TLS', true],
];
for (const [protocol, name, secure] of CARRIERS) {
  mosquittoTest(`over ${name} two peers edit, and go on when the broker has been away`, async (t) => {
    const ca = certificateAuthority(t);
    const [[anonymous, ...ofTls], files] = tlsListener(ca, ca.issue('broker'));
    // Mosquitto does not start with WebSockets alone.
    const port = await freePort();
    const websockets = protocol.startsWith('ws') ? ['protocol websockets'] : [];
    const lines = [anonymous, `listener ${port} 127.0.0.1`, ...websockets, ...(secure ? ofTls : [])];
    const started = await startMosquitto(lines, files);
    scoped(t).defer(() => started.stop());
    const broker = { host: started.host, port };
    const options = over(protocol, secure && { caFile: ca.file });
    const { ada, ben } = await twoPeers(t, broker, smallCanvas(), options);
    assert.equal(ada.getNetworkStatus().broker.protocol, protocol);
    // Small edits leave on this thread, large ones do not.
    for (let x = 1; x <= 50; x++) await ada.patchCanvas(REPOSITORY, CANVAS, move(x), 'ada');
    await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').x === 50);
    const long = 'long '.repeat(100_000);
    await ben.patchCanvas(REPOSITORY, CANVAS, { nodes: { upsert: [{ id: 'long', text: long }] } }, 'ben');
    await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'long')?.text === long);

    const away = [nextEvent(ada, 'disconnected'), nextEvent(ben, 'disconnected')];
    await started.kill();
    await Promise.all(away);
    await ada.patchCanvas(REPOSITORY, CANVAS, move(51), 'ada');
    await mosquitto(t, lines, files, started.port);
    await untilEqual(ada, ben, (canvas) => nodeOf(canvas, 'a').x === 51);
    assert.ok(ada.getNetworkStatus().reconnects > 0);
  });
}

const move = (x) => ({ nodes: { upsert: [{ id: 'a', x }] } });

describe('a broker that is not to be trusted is refused, saying what is wrong and what to do:', () => {
  mosquittoTest('a certificate of another CA', async (t) => {
    const message = await meets(t, certificateAuthority(t), certificateAuthority(t).issue('broker'), {
      caFile: certificateAuthority(t, 'somebody else').file,
    });
    assert.match(message, /not signed by any CA that is trusted here.*caFile.*--tls-ca/);
  });

  mosquittoTest("a CA that the system does not know, without one's own", async (t) => {
    const ca = certificateAuthority(t);
    assert.match(await meets(t, ca, ca.issue('broker'), undefined), /not signed by any CA|no certificates of CAs/);
  });

  mosquittoTest('a certificate for another host', async (t) => {
    const ca = certificateAuthority(t);
    const certificate = ca.issue('broker', { alternatives: [{ type: 2, value: 'other.example.org' }] });
    const message = await meets(t, ca, certificate, { caFile: ca.file });
    assert.match(message, /for another name.*other\.example\.org.*serverName.*--tls-server-name/);
  });

  mosquittoTest('an expired certificate', async (t) => {
    const ca = certificateAuthority(t);
    const message = await meets(t, ca, ca.issue('broker', validity(-48, -24)), { caFile: ca.file });
    assert.match(message, /has expired.*renew it/);
  });

  mosquittoTest('a certificate of the future', async (t) => {
    const ca = certificateAuthority(t);
    const message = await meets(t, ca, ca.issue('broker', validity(24, 48)), { caFile: ca.file });
    assert.match(message, /not valid yet.*clocks/);
  });

  mosquittoTest('a self-signed certificate', async (t) => {
    const ca = certificateAuthority(t);
    const message = await meets(t, ca, ca.issue('broker', { selfSigned: true }), { caFile: ca.file });
    assert.match(message, /signed by itself.*have a CA sign it/);
  });

  mosquittoTest('no TLS at all', async (t) => {
    const broker = await mosquitto(t);
    const { message } = await rejectsWith(
      newPeer(t, broker, { broker: { protocol: 'mqtts', connectTimeoutMs: 1_000 } }).initialize(),
      'ERR_BROKER_UNREACHABLE',
    );
    assert.match(message, /is the port one for TLS/);
  });

  mosquittoTest('the reverse: TLS where plain text was expected', async (t) => {
    const ca = certificateAuthority(t);
    const broker = await mosquitto(t, ...tlsListener(ca, ca.issue('broker')));
    const peer = newPeer(t, broker, { broker: { connectTimeoutMs: 1_000 } });
    const { message } = await rejectsWith(peer.initialize(), 'ERR_BROKER_UNREACHABLE');
    assert.match(message, /is the port one for TLS \(mqtts, wss\)/);
  });
});

mosquittoTest('another name is verified instead of the host when it is given', async (t) => {
  const ca = certificateAuthority(t);
  const certificate = ca.issue('broker', { alternatives: [{ type: 2, value: 'broker.example.org' }] });
  const broker = await mosquitto(t, ...tlsListener(ca, certificate));
  await onePeer(t, broker, over('mqtts', { caFile: ca.file, serverName: 'broker.example.org' }));
  const wrong = newPeer(t, broker, over('mqtts', { caFile: ca.file, serverName: 'localhost' }));
  await rejectsWith(wrong.initialize(), 'ERR_BROKER_REJECTED', /for another name/);
});

mosquittoTest('a client certificate is shown, and wanted ones are said to be missing', async (t) => {
  const ca = certificateAuthority(t);
  const broker = await mosquitto(t, ...tlsListener(ca, ca.issue('broker'), 'require_certificate true'));
  const { certFile, keyFile } = ca.issue('ada', { alternatives: [] });
  await onePeer(t, broker, over('mqtts', { caFile: ca.file, certFile, keyFile }));

  const attempt = (tls) =>
    newPeer(t, broker, { broker: { ...over('mqtts', { caFile: ca.file, ...tls }).broker, connectTimeoutMs: 1_000 } })
      .initialize()
      .then(assert.fail, ({ code, message }) => ({ code, message }));
  // The broker may hang up before its reason has arrived.
  const missing = await attempt({});
  assert.match(missing.code, /^ERR_BROKER_(REJECTED|UNREACHABLE)$/);
  assert.match(missing.message, /want(s)? a client certificate/);
  const foreign = certificateAuthority(t, 'somebody else').issue('ada', { alternatives: [] });
  const refused = await attempt({ certFile: foreign.certFile, keyFile: foreign.keyFile });
  assert.match(refused.code, /^ERR_BROKER_(REJECTED|UNREACHABLE)$/);
  assert.match(refused.message, /accept the client certificate/);
});

mosquittoTest('verifying nothing must be asked for, and warns at every connection', async (t) => {
  const ca = certificateAuthority(t);
  const [lines, files] = tlsListener(ca, ca.issue('broker', { selfSigned: true }));
  const broker = await startMosquitto(lines, files);
  scoped(t).defer(() => broker.stop());
  const warnings = [];
  const listen = (warning) => warning.code === 'MQTT_P2P_TLS_INSECURE' && warnings.push(warning.message);
  process.on('warning', listen);
  scoped(t).defer(() => process.off('warning', listen));
  const peer = await onePeer(t, broker, over('mqtts', { insecure: true }));
  await new Promise(setImmediate);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0], /not verified/);
  const again = nextEvent(peer, 'connected');
  await broker.kill();
  await mosquitto(t, lines, files, broker.port);
  await again;
  await new Promise(setImmediate);
  assert.equal(warnings.length, 2);
});

describe('no byte of MQTT leaves in plain text when TLS does not come about:', () => {
  for (const protocol of ['mqtts', 'wss']) {
    test(`${protocol} to a server that answers anything but TLS`, async (t) => {
      const received = [];
      const answers = ['\u0020\u0002\u0000\u0000', 'HTTP/1.1 101 Switching Protocols\r\n\r\n', ''];
      let connections = 0;
      const server = createServer((socket) => {
        const answer = answers[connections++ % answers.length];
        socket.on('error', () => {});
        socket.on('data', (bytes) => {
          received.push(bytes);
          socket.end(answer, 'latin1');
        });
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      scoped(t).defer(() => new Promise((done) => server.close(done)));
      const password = 'canary-password-of-tls';
      const broker = { protocol, username: 'canary-user-of-tls', password, clientId: 'canary-client-of-tls' };
      const peer = newPeer(t, { host: '127.0.0.1', port: server.address().port }, { broker });
      const { message } = await rejectsWith(peer.initialize(), 'ERR_BROKER_REJECTED', /does not speak TLS/);
      assert.doesNotMatch(message, /canary/);
      const hanging = newPeer(
        t,
        { host: '127.0.0.1', port: server.address().port },
        { broker: { ...broker, connectTimeoutMs: 1_500 } },
      );
      await hanging.initialize().then(assert.fail, () => {});
      const all = Buffer.concat(received);
      assert.ok(connections >= 2 && all.length > 100);
      assert.doesNotMatch(all.toString('latin1'), /canary|MQTT|GET \//);
      for (const bytes of received) assert.ok([0x15, 0x16].includes(bytes[0]), 'a record of TLS: handshake or alert');
    });
  }

  mosquittoTest('a certificate that is not trusted', async (t) => {
    const ca = certificateAuthority(t);
    const broker = await mosquitto(t, ...tlsListener(ca, ca.issue('broker', { selfSigned: true })));
    const sent = [];
    const tap = createServer((socket) => {
      const onward = connect(broker.port, broker.host);
      for (const end of [socket, onward]) end.on('error', () => {});
      socket.on('data', (bytes) => sent.push(bytes)).pipe(onward);
      onward.pipe(socket);
    }).listen(0, '127.0.0.1');
    await once(tap, 'listening');
    scoped(t).defer(() => new Promise((done) => tap.close(done)));
    const options = { broker: { protocol: 'mqtts', username: 'canary', password: 'canary', tls: { caFile: ca.file } } };
    const peer = newPeer(t, { host: '127.0.0.1', port: tap.address().port }, options);
    await rejectsWith(peer.initialize(), 'ERR_BROKER_REJECTED', /signed by itself/);
    const all = Buffer.concat(sent);
    assert.equal(all[0], 0x16);
    assert.doesNotMatch(all.toString('latin1'), /canary|MQTT/);
    await peer.disconnect();
  });
});

describe('the configuration', () => {
  const wrong = [
    ['tls without TLS', { tls: { caFile: 'ca.pem' } }, /broker\.tls needs broker\.protocol mqtts or wss/],
    ['an unknown field', { protocol: 'mqtts', tls: { verify: false } }, /broker\.tls.*verify/],
    ['a certificate without its key', { protocol: 'mqtts', tls: { certFile: 'a.pem' } }, /certFile and keyFile/],
    ['a protocol of another kind', { protocol: 'https' }, /broker\.protocol/],
    ['a path without WebSockets', { protocol: 'mqtts', path: '/mqtt' }, /broker\.path/],
    ['a path that is none', { protocol: 'ws', path: 'no path' }, /broker\.path/],
    ['a URL as the host', { host: 'mqtts://broker' }, /broker\.host/],
  ];
  for (const [name, broker, message] of wrong) {
    test(`with ${name} is refused, naming the field`, (t) => {
      assert.throws(() => newPeer(t, {}, { broker }), { code: 'ERR_CONFIG_INVALID', message });
    });
  }

  test('that names files which cannot be used is refused by initialize(), which can be called again', async (t) => {
    const peer = newPeer(t, {}, over('mqtts', { caFile: '/does/not/exist.pem' }));
    for (let n = 0; n < 2; n++) {
      await rejectsWith(peer.initialize(), 'ERR_CONFIG_INVALID', /broker\.tls\.caFile.*does\/not\/exist\.pem/);
    }
    const key = certificateAuthority(t).issue('broker').keyFile;
    const noCa = newPeer(t, {}, over('mqtts', { caFile: key }));
    await rejectsWith(noCa.initialize(), 'ERR_CONFIG_INVALID', /no certificate/);
  });
});

describe('the command line', () => {
  const cli = (args, options) => runNode(['dist/mqtt-cli.js', ...args], options);

  mosquittoTest('reaches a broker over each, by flags, by the environment and by a file', async (t) => {
    const ca = certificateAuthority(t);
    const { certFile, keyFile } = ca.issue('ada', { alternatives: [] });
    const [lines, files] = tlsListener(ca, ca.issue('broker'), 'require_certificate true');
    const ws = await freePort();
    const broker = await mosquitto(t, [...lines, `listener ${ws} 127.0.0.1`, 'protocol websockets'], files);
    const tls = ['--tls-ca', ca.file, '--tls-cert', certFile, '--tls-key', keyFile];
    const url = `mqtts://localhost:${broker.port}`;
    const healthy = async (args, env) => {
      const { code, stdout, stderr } = await cli(['health', ...args], { env });
      assert.equal(code, 0, stdout + stderr);
    };
    await healthy(['--broker', url, ...tls]);
    await healthy(['--broker', url, ...tls, '--tls-server-name', '127.0.0.1']);
    await healthy(['--broker', `ws://127.0.0.1:${ws}`]);
    const environment = {
      MQTT_BROKER_PROTOCOL: 'mqtts',
      MQTT_BROKER_HOST: '127.0.0.1',
      MQTT_BROKER_PORT: `${broker.port}`,
      MQTT_TLS_CA: ca.file,
      MQTT_TLS_CERT: certFile,
      MQTT_TLS_KEY: keyFile,
    };
    await healthy([], environment);
    const insecure = await cli(['health', '--broker', url, ...tls.slice(2), '--tls-insecure']);
    assert.equal(insecure.code, 0, insecure.stderr);
    assert.match(insecure.stderr, /not verified/);
    const listener = startNode(t, ['dist/mqtt-cli.js', 'tail', '--broker', url, ...tls.slice(2), '--tls-insecure']);
    await until(() => listener.output().includes('not verified'), 'who only listens is warned too');
    const untrusted = await cli(['health', '--broker', url, ...tls.slice(2)]);
    assert.equal(untrusted.code, 1);
    assert.match(untrusted.stdout, /--tls-ca/);
  });

  const wrong = [
    ['a scheme of another kind', ['--broker', 'https://ada:canary@localhost'], {}],
    ['a URL that is none', ['--broker', 'mqtt://ada:canary@:1'], {}],
    ['a password with a stray %', ['--broker', 'mqtts://ada:canary%@localhost'], {}],
    ['TLS without TLS', ['--broker', 'mqtt://ada:canary@localhost', '--tls-ca', 'ca.pem'], {}],
    ['a protocol in the environment', [], { MQTT_BROKER_PROTOCOL: 'canary' }],
    ['something vague about verifying', [], { MQTT_TLS_INSECURE: 'maybe' }],
  ];
  for (const [name, args, env] of wrong) {
    test(`${name} is wrong usage: status 2, and nothing secret is printed`, async (t) => {
      const cwd = temporaryFolder(t);
      const { code, stdout, stderr } = await cli(['health', ...args], { env: { ...env, HOME: cwd } });
      assert.equal(code, 2, stderr);
      assert.doesNotMatch(stdout + stderr, /canary/);
      assert.notEqual(stderr, '');
    });
  }
});
