import { test } from 'node:test';
import { skipWithout } from './helpers/all-brokers.mjs';
import { nodeOf, smallCanvas } from './helpers/canvases.mjs';
import { natsCluster } from './helpers/nats-cluster.mjs';
import { CANVAS, onePeer, REPOSITORY, untilEqual, untilListed } from './helpers/two-peers.mjs';
import { nextEvent, until } from './helpers/wait.mjs';

/** How long a peer pauses between two edits. */
const PAUSE_MS = 20;
const TOGETHER = 60_000;

test('three NATS servers are one broker, and one of them may be killed', { skip: skipWithout('NATS') }, async (t) => {
  const nodes = await natsCluster(t);
  const names = ['ada', 'ben', 'cleo'];
  const peers = await Promise.all(nodes.map((node) => onePeer(t, node, { broker: { connectTimeoutMs: TOGETHER } })));
  await peers[0].createCanvas(REPOSITORY, CANVAS, smallCanvas(), 'ada');
  for (const peer of peers) await untilListed(peer, CANVAS);

  const made = [0, 0, 0];
  let editing = true;
  const edit = async (who) => {
    for (; editing; made[who]++) {
      const patch = { nodes: { upsert: [{ id: 'a', x: made[who], [`${names[who]}-${made[who]}`]: true }] } };
      await peers[who].patchCanvas(REPOSITORY, CANVAS, patch, names[who]);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  const edited = Promise.all(peers.map((_, who) => edit(who)));
  const seen = async (peer, name) =>
    Object.keys(nodeOf(await peer.getCanvas(REPOSITORY, CANVAS), 'a')).filter((key) => key.startsWith(`${name}-`))
      .length;
  const goesOn = async (who, others) => {
    const target = made[who];
    for (const other of others)
      await until(
        async () => (await seen(peers[other], names[who])) > target,
        `${names[other]} hears ${names[who]}`,
        TOGETHER,
      );
  };
  await goesOn(0, [1, 2]);

  const cut = nextEvent(peers[2], 'disconnected');
  await nodes[2].end('SIGKILL');
  await cut;
  // The other two are enough: those who are connected to them go on, live.
  await goesOn(0, [1]);
  await goesOn(1, [0]);

  const back = nextEvent(peers[2], 'connected', () => true, TOGETHER);
  await nodes[2].start();
  await back;
  await goesOn(2, [0, 1]);
  editing = false;
  await edited;
  await Promise.all(peers.map((peer) => peer.flush()));
  const all = (canvas) => Object.keys(nodeOf(canvas, 'a')).filter((key) => /^(ada|ben|cleo)-/.test(key)).length;
  await untilEqual(...peers, (canvas) => all(canvas) === made[0] + made[1] + made[2]);
  t.diagnostic(`${made.join(' + ')} edits`);
});
