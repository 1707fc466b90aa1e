// Two peers in one process edit a canvas that one repository shares with another. Run it with `node simple-demo.js`
// (after `npm run demo`, `npm test` or `npm run build`, each of which builds what is needed).
const { isDeepStrictEqual } = require('node:util');
const { once } = require('node:events');
const { MQTTIntegrationService, startBroker } = require('.');

async function main() {
  const broker = await startBroker();
  console.log(`broker on ${broker.url}`);
  const join = (...repositories) =>
    new MQTTIntegrationService({ broker: { host: broker.host, port: broker.port }, repositories });
  const alice = join('repo-a', 'repo-b');
  const bob = join('repo-b');
  bob.on('canvas-updated', ({ canvasId, author, origin }) => {
    if (origin === 'remote') console.log(`bob sees: ${canvasId} updated by ${author}`);
  });
  await Promise.all([alice.initialize(), bob.initialize()]);

  // Alice creates a canvas in her repository and shares it with Bob's.
  const shared = once(bob, 'canvas-shared');
  const board = { nodes: [{ id: 'hello', type: 'text', x: 0, y: 0, width: 200, height: 60, text: 'Hello' }] };
  await alice.createCanvas('repo-a', 'board', board, 'alice');
  await alice.shareCanvas('repo-a', 'board', 'repo-b');
  await shared;
  await bob.enableRealTimeCollaboration('repo-b', 'board');
  console.log('alice shared "board" from repo-a to repo-b');
  console.log(`bob reads:   ${(await bob.getCanvas('repo-b', 'board')).nodes[0].text}`);

  // Both write at the same time.
  await Promise.all([
    alice.patchCanvas('repo-a', 'board', { nodes: { upsert: [{ id: 'hello', text: 'Hello, says Alice' }] } }, 'alice'),
    bob.patchCanvas('repo-b', 'board', { nodes: { upsert: [{ id: 'hello', text: 'Bob says: Hello' }] } }, 'bob'),
  ]);

  const [ours, theirs] = await untilEqual(
    () => alice.getCanvas('repo-a', 'board'),
    () => bob.getCanvas('repo-b', 'board'),
  );
  console.log(`alice reads: ${ours.nodes[0].text}`);
  console.log(`bob reads:   ${theirs.nodes[0].text}`);
  console.log('equal');

  await Promise.all([alice.disconnect(), bob.disconnect()]);
  await broker.stop();
}

/** Reads both until they are equal and show both edits; gives up after ten seconds. */
async function untilEqual(readOurs, readTheirs) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const [ours, theirs] = await Promise.all([readOurs(), readTheirs()]);
    if (isDeepStrictEqual(ours, theirs) && /Alice.*Bob|Bob.*Alice/.test(ours.nodes[0].text)) return [ours, theirs];
    if (Date.now() > deadline) throw new Error('the canvases did not become equal within ten seconds');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
