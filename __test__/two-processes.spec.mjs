import assert from 'node:assert/strict';
import { mosquitto, mosquittoTest } from './helpers/broker.mjs';
import { roadmap } from './helpers/canvases.mjs';
import { startEditor } from './helpers/processes.mjs';
import { cable } from './helpers/proxy.mjs';
import { until } from './helpers/wait.mjs';

const EDITS = 1000;
const MOVES = 20_000;
const CABLE_PULL_MS = 5000;
const DEADLINE_MS = 120_000;
const ids = roadmap().nodes.map(({ id }) => id);

/** Two processes, connected, that hold the 187-node canvas. */
async function twoEditors(t, broker) {
  const { host, port } = broker;
  const ada = startEditor(t, { name: 'ada', broker: { host, port } });
  const ben = startEditor(t, { name: 'ben', broker: { host, port } });
  await Promise.all([ada.started, ben.started]);
  await ada.ask('create', { canvas: roadmap() });
  await ben.ask('listed');
  await untilSame(ada, ben, ({ nodes }) => nodes === 187);
  return { ada, ben };
}

/** Waits until both read the same and it fits. */
function untilSame(ada, ben, fits, parameters = {}) {
  return until(
    async () => {
      const [a, b] = await Promise.all([ada.ask('look', parameters), ben.ask('look', parameters)]);
      return a.digest === b.digest && fits(a) && a;
    },
    'both processes hold the same',
    DEADLINE_MS,
  );
}

const allFound = ({ found }) => found.ada === EDITS && found.ben === EDITS;

mosquittoTest('two processes, 1,000 edits each at full speed at the same time: equal, and all there', async (t) => {
  const { ada, ben } = await twoEditors(t, await mosquitto(t));
  const start = performance.now();
  await Promise.all([ada, ben].map((editor) => editor.ask('edits', { count: EDITS, ids })));
  const { nodes } = await untilSame(ada, ben, allFound, { names: ['ada', 'ben'] });
  t.diagnostic(`2,000 edits made, exchanged and equal in ${Math.round(performance.now() - start)} ms`);
  assert.equal(nodes, 187);
  await Promise.all([ada.ask('stop'), ben.ask('stop')]);
});

mosquittoTest('the same with a cable pull of five seconds', async (t) => {
  const broker = await mosquitto(t);
  const wire = await cable(t, broker);
  const { ada, ben } = await twoEditors(t, wire);
  const start = performance.now();
  const half = { count: EDITS / 2, ids };
  await Promise.all([ada, ben].map((editor) => editor.ask('edits', half)));
  const edits = [ada, ben].map((editor) => editor.ask('edits', { count: EDITS, ids }));
  wire.pull();
  // The outage under test, not a wait for something.
  await new Promise((resolve) => setTimeout(resolve, CABLE_PULL_MS));
  wire.plug();
  await Promise.all(edits);
  await untilSame(ada, ben, allFound, { names: ['ada', 'ben'] });
  t.diagnostic(`equal ${Math.round(performance.now() - start - CABLE_PULL_MS)} ms of working cable after the start`);
  await Promise.all([ada.ask('stop'), ben.ask('stop')]);
});

mosquittoTest('20,000 moves flat out through a broker that drops: equal in the end', async (t) => {
  // Default settings: QoS 1 messages beyond 1,000 queued for a slow subscriber are dropped without a word.
  const { ada, ben } = await twoEditors(t, await mosquitto(t));
  const start = performance.now();
  const moving = await ada.ask('moves', { count: MOVES, id: ids[0] });
  await untilSame(ada, ben, ({ x }) => x === MOVES, { id: ids[0] });
  t.diagnostic(`made in ${Math.round(moving)} ms, equal after ${Math.round(performance.now() - start)} ms`);
  const { messages, reconnects } = await ben.ask('status');
  t.diagnostic(`the other process received ${messages.received} messages, reconnected ${reconnects} times`);
  await Promise.all([ada.ask('stop'), ben.ask('stop')]);
});
