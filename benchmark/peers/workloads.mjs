// What is measured: each workload gives, for one system, figures by name. Times are in milliseconds.
import { board, FIRST } from './board.mjs';
import { onStage } from './stage.mjs';

const KEY = 'board';
const NODE = 'node-0';
/** After this peers that are not equal count as failed. */
const GIVE_UP_MS = 60_000;

/** Of an unsorted list. */
export const quantile = (values, share) => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
};

/** The clock of all processes, in milliseconds. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

const numbers = (count) => Array.from({ length: count }, (_, n) => n);

/** Two peers with one canvas open, of which the first made it. */
async function pair(stage, canvas, ports = []) {
  const one = await stage.peer(ports[0]);
  const key = await one.ask('open', KEY, canvas);
  const two = await stage.peer(ports[1]);
  await two.ask('open', key);
  return { one, two, key };
}

/** Latencies of moves at a pace, from call to listener, that arrived as such. */
async function pacedLatencies({ one, two, key }, from, count, perSecond) {
  const sentAt = await one.ask('moves', key, NODE, from, count, perSecond);
  await two.ask('sees', key, NODE, from + count - 1);
  const seenAt = await two.ask('seen', key, NODE, from, count);
  return seenAt.flatMap((at, n) => (at === null ? [] : [at - sentAt[n]]));
}

/** One node moved every 10 ms. */
const latency =
  (nodes) =>
  (system, { quick, options }) =>
    onStage(system, options, async (stage) => {
      const peers = await pair(stage, board(nodes));
      const count = quick ? 200 : 800;
      await pacedLatencies(peers, FIRST, 100, 100);
      const latencies = await pacedLatencies(peers, FIRST + 100, count, 100);
      return { 'p50 ms': quantile(latencies, 0.5), 'p99 ms': quantile(latencies, 0.99) };
    });

/** Edits flat out, each call awaited, until the other has the last. `counts` are of a quick and of a whole run. */
const flatOut =
  (task, { warmUp, counts, rate, cost }) =>
  (system, { quick, options }) =>
    onStage(system, options, async (stage) => {
      const { one, two, key } = await pair(stage, board(200));
      const count = counts[quick ? 0 : 1];
      await one.ask(task, key, NODE, FIRST, warmUp);
      await two.ask('sees', key, NODE, FIRST + warmUp - 1);
      const before = stage.cpuSeconds();
      const [first] = await one.ask(task, key, NODE, FIRST + warmUp, count);
      const last = await two.ask('sees', key, NODE, FIRST + warmUp + count - 1);
      const cpu = stage.cpuSeconds() - before;
      return { [rate]: (count * 1000) / (last - first), [cost]: (cpu * 1e6) / count };
    });

/** One node moved. */
const throughput = flatOut('moves', {
  warmUp: 500,
  counts: [1_000, 5_000],
  rate: 'moves/s',
  cost: 'CPU us a move',
});

/** An application that passes its whole canvas each time. */
const whole = flatOut('updates', {
  warmUp: 20,
  counts: [50, 300],
  rate: 'updates/s',
  cost: 'CPU us an update',
});

/** Ten peers move a node each, 50 times a second. */
const crowd = (system, { quick, options }) =>
  onStage(system, options, async (stage) => {
    const { one, two, key } = await pair(stage, board(200));
    const peers = [one, two];
    while (peers.length < 10) {
      const next = await stage.peer();
      await next.ask('open', key);
      peers.push(next);
    }
    const count = quick ? 50 : 250;
    const nodeOf = (n) => `node-${n}`;
    const sent = await Promise.all(peers.map((peer, n) => peer.ask('moves', key, nodeOf(n), FIRST, count, 50)));
    const latencies = [];
    for (const [n, sentAt] of sent.entries()) {
      for (const other of peers.filter((_, m) => m !== n)) {
        await other.ask('sees', key, nodeOf(n), FIRST + count - 1);
        const seenAt = await other.ask('seen', key, nodeOf(n), FIRST, count);
        latencies.push(...seenAt.flatMap((at, k) => (at === null ? [] : [at - sentAt[k]])));
      }
    }
    return { 'p50 ms': quantile(latencies, 0.5), 'p95 ms': quantile(latencies, 0.95) };
  });

/** A newcomer opens a canvas with a history: until it has all of it, and how many bytes went over its connection. */
const join = (system, { quick, options }) =>
  onStage(system, options, async (stage) => {
    const canvas = board(1_000, 500);
    const { one, two, key } = await pair(stage, canvas);
    const moves = quick ? 2_000 : 20_000;
    const each = moves / 20;
    for (const n of numbers(20)) {
      await one.ask('moves', key, `node-${n * 37}`, FIRST, each);
      await two.ask('sees', key, `node-${n * 37}`, FIRST + each - 1);
    }
    const proxy = await stage.proxy();
    const times = [];
    const bytes = [];
    for (const _ of numbers(quick ? 1 : 3)) {
      const before = await proxy.ask('bytes');
      const late = await stage.peer(proxy.ready);
      const start = performance.now();
      await late.ask('open', key);
      times.push(performance.now() - start);
      const { nodes, edges } = await late.ask('read', key);
      if (nodes.length !== canvas.nodes.length || edges.length !== canvas.edges.length) {
        throw new Error(`${system}: ${nodes.length} nodes and ${edges.length} edges arrived`);
      }
      bytes.push((await proxy.ask('bytes')) - before);
      await late.ask('close');
    }
    return { ms: quantile(times, 0.5), KiB: quantile(bytes, 0.5) / 1024 };
  });

/** A hundred canvases of 200 nodes that somebody else made. */
const memory = (system, { quick, options }) =>
  onStage(system, options, async (stage) => {
    const maker = await stage.peer();
    const keys = [];
    for (const n of numbers(quick ? 20 : 100)) keys.push(await maker.ask('open', `${KEY}-${n}`, board(200)));
    const reader = await stage.peer();
    return { 'KiB a canvas': (await reader.ask('openAll', keys)) / 1024 };
  });

/** Both sides edit while the network is cut: from the first connection until both have all. */
const offline = (system, { quick, options }) =>
  onStage(system, options, async (stage) => {
    const proxies = [await stage.proxy(), await stage.proxy()];
    const { one, two, key } = await pair(
      stage,
      board(200),
      proxies.map(({ ready }) => ready),
    );
    for (const proxy of proxies) await proxy.ask('cut');
    const count = quick ? 220 : 1_100;
    const sides = [
      { peer: one, other: two, node: 'node-1' },
      { peer: two, other: one, node: 'node-2' },
    ];
    // At a pace: an outcome is only awaited where that works offline.
    await Promise.all(sides.map(({ peer, node }) => peer.ask('moves', key, node, FIRST, count, 5_000)));
    for (const proxy of proxies) await proxy.ask('join');
    const seen = await Promise.all(sides.map(({ other, node }) => other.ask('sees', key, node, FIRST + count - 1)));
    const joined = await Promise.all(proxies.map((proxy) => proxy.ask('joined')));
    return { ms: Math.max(...seen) - Math.max(...joined) };
  });

/** Two people type in one node's text at the same time, a character at a time: until both have all of it. */
const typing = (system, { quick, options }) =>
  onStage(system, options, async (stage) => {
    const { one, two, key } = await pair(stage, board(200));
    const length = quick ? 100 : 500;
    const { text } = board(1).nodes[0];
    const start = now();
    const type = (peer, first) => peer.ask('type', key, NODE, first, length);
    await Promise.all([type(one, 0x4e00), type(two, 0x6e00)]);
    const full = text.length + 2 * length;
    const textOf = async (peer) => (await peer.ask('read', key)).nodes.find(({ id }) => id === NODE).text;
    for (;;) {
      const [a, b] = await Promise.all([textOf(one), textOf(two)]);
      if (a.length === full && a === b) break;
      if (now() - start > GIVE_UP_MS) throw new Error(`${a.length} and ${b.length} characters of ${full}`);
    }
    return { 'characters/s': (2 * length * 1000) / (now() - start) };
  });

/** In the order of the table; `better` says which way a figure is good. */
export const workloads = {
  latency: { title: 'one node moved every 10 ms, 200 nodes', run: latency(200), better: 'less' },
  'latency-large': { title: 'the same, 10,000 nodes', run: latency(10_000), better: 'less' },
  throughput: { title: 'one node moved flat out', run: throughput, better: 'more' },
  crowd: { title: 'ten peers, 50 moves a second each', run: crowd, better: 'less' },
  join: { title: 'joining 1,000 nodes, 500 edges, 20,000 moves of history', run: join, better: 'less' },
  memory: { title: 'memory of an open canvas of 200 nodes', run: memory, better: 'less' },
  offline: { title: '2,200 edits made offline, from reconnecting', run: offline, better: 'less' },
  whole: { title: 'whole canvases of 200 nodes passed, one node moved', run: whole, better: 'more' },
  typing: { title: 'two people type in one text', run: typing, better: 'more' },
};
