import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eachBroker, embedded } from './helpers/broker.mjs';
import { cli, cliJson, urlOf } from './helpers/cli.mjs';
import { onePeer } from './helpers/two-peers.mjs';

const of = (broker, ...repositories) => ['--broker', urlOf(broker), '--repositories', repositories.join(',') || 'team'];

describe('canvases', () => {
  eachBroker('lists what a running peer has', async (t, broker) => {
    const ada = await onePeer(t, broker);
    await ada.createCanvas('team', 'plan/2027', { nodes: [{ id: 'a' }, { id: 'b' }], edges: [] }, 'Ada');
    const { repositories } = await cliJson(['canvases', ...of(broker, 'team', 'quiet')]);
    const [team, quiet] = repositories;
    assert.equal(team.answered, true);
    const { id, nodes, edges, createdBy, origin } = team.canvases[0];
    assert.deepEqual([id, nodes, edges, createdBy, origin], ['plan/2027', 2, 0, 'Ada', 'team']);
    assert.deepEqual([quiet.repository, quiet.canvases], ['quiet', []]);

    const { code, stdout, stderr } = await cli(['canvases', ...of(broker)]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^repository +canvas +nodes/);
    assert.match(stdout, /^team +plan\/2027 +2 +0 +Ada/m);
  });

  test('a name cannot act on the terminal', async (t) => {
    const broker = await embedded(t);
    const ada = await onePeer(t, broker);
    await ada.createCanvas('team', 'evil\u001b]0;title\u0007\n\u202egnp', {}, '\u001b[31mred');
    const { stdout } = await cli(['canvases', ...of(broker)]);
    assert.match(stdout, /evil\\u\{1b\}\]0;title\\u\{7\}\\u\{a\}\\u\{202e\}gnp/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there
    assert.doesNotMatch(stdout, /\u001b|\u0007|\u202e/);
  });
});

describe('peers', () => {
  eachBroker('lists who is there', async (t, broker) => {
    const ada = await onePeer(t, broker, { capabilities: ['server'] });
    const { peerId } = ada.getNetworkStatus();
    const { peers } = await cliJson(['peers', ...of(broker)]);
    assert.deepEqual(
      peers.map(({ id, repository, confirmed }) => [id, repository, confirmed]),
      [[peerId, 'team', true]],
    );
    assert.ok(Math.abs(peers[0].clockAheadMs) < 60_000);
    const { stdout } = await cli(['peers', ...of(broker)]);
    assert.match(stdout, new RegExp(`${peerId} +team +.*\\bserver\\b`));
  });

  test('says that nobody is there, and leaves standard output to what was asked for', async (t) => {
    const { code, stdout, stderr } = await cli(['peers', '--wait', '100', ...of(await embedded(t))]);
    assert.deepEqual([code, stdout], [0, '']);
    assert.match(stderr, /nobody else/);
  });
});
