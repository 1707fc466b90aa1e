// What is measured. Each scenario takes a size and gives figures by name, the unit in the name.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onStage, pause, quantile, sum } from './stage.mjs';

const MIB = 1 << 20;
const names = (count) => Array.from({ length: count }, (_, n) => `repository-${n}`);
const round = (value, digits = 1) => Number(value.toFixed(digits));

/** Latency of the edits that workers have heard since they were last asked. */
async function latency(workers) {
  const heard = (await Promise.all(workers.map((worker) => worker.ask('heard')))).flat();
  return { 'p50 ms': round(quantile(heard, 0.5)), 'p95 ms': round(quantile(heard, 0.95)), 'edits heard': heard.length };
}

const figures = (workers) => Promise.all(workers.map((worker) => worker.ask('figures')));

const kinds = (all, kind) => all.reduce((total, each) => total + (each.kinds[kind] ?? 0), 0);

/** What passes while `work` goes on: figures of all workers together, and of the broker. */
async function during({ brokerFigures }, workers, work) {
  await Promise.all(workers.map((worker) => worker.ask('settle')));
  const [before, brokerBefore, began] = [await figures(workers), brokerFigures(), performance.now()];
  await work();
  const seconds = (performance.now() - began) / 1000;
  const [after, brokerAfter] = [await figures(workers), brokerFigures()];
  const grown = (name) => sum(after, name) - sum(before, name);
  const grownOf = (kind) => kinds(after, kind) - kinds(before, kind);
  return {
    seconds,
    grown,
    grownOf,
    cpu: round(grown('cpuMs') / seconds / 10, 2),
    brokerCpu: round((brokerAfter.cpuMs - brokerBefore.cpuMs) / seconds / 10, 2),
    rss: sum(after, 'rss'),
    brokerRss: brokerAfter.rss,
  };
}

/** So many peers on one broker, spread over repositories, in each of which one edits; then silence for two heartbeats. */
export function peers({ peers, repositories: count, processes, heartbeatSeconds = 5, edits = 500, pauseMs = 20 }) {
  return onStage(async (stage) => {
    const repositories = names(count);
    const config = {
      broker: { ...stage.broker, connectTimeoutMs: 120_000 },
      repositories,
      performance: { heartbeatInterval: heartbeatSeconds },
    };
    const maker = stage.worker();
    await maker.ask('start', { count: 1, config });
    await maker.ask('create', { repositories, canvases: 1, nodes: 20 });
    const workers = Array.from({ length: processes }, () => stage.worker());
    const all = [maker, ...workers];
    let times = [];
    const joining = await during(stage, all, async () => {
      const started = workers.map((worker) => worker.ask('start', { count: peers / processes, config, one: true }));
      times = (await Promise.all(started)).flat();
      await Promise.all(workers.map((worker) => worker.ask('join', { canvases: 1, nodes: 20 })));
    });
    // Who has just come says so once in the heartbeat that was right for the few whom it saw then.
    await pause(heartbeatSeconds * 3000);
    const idle = await during(stage, all, () => pause(heartbeatSeconds * 2000));
    await Promise.all(workers.map((worker) => worker.ask('listen')));
    const editing = await during(stage, all, async () => {
      await maker.ask('edit', { repositories, edits, pauseMs });
      await pause(1000);
    });
    return {
      ...(await latency(workers)),
      'all joined s': round(joining.seconds),
      'join p50 ms': round(quantile(times, 0.5), 0),
      'messages per peer to join': round(joining.grown('messages') / peers),
      'presence per peer and heartbeat': round(idle.grownOf('presence') / peers / 2, 2),
      'idle bytes per peer and s': round(idle.grown('bytes') / peers / idle.seconds, 0),
      'idle CPU per peer %': round(idle.cpu / peers, 4),
      'idle CPU broker %': idle.brokerCpu,
      'CPU ms per edit and receiver': round((editing.grown('cpuMs') * count) / edits / peers, 3),
      'MiB per peer': round(idle.rss / MIB / peers, 2),
      'MiB broker': round(idle.brokerRss / MIB),
    };
  });
}

/** One service with so many repositories and canvases in each, on disk; a second one comes and has everything. */
export function repositories({ repositories: count, canvases, nodes = 20, idleMs = 10_000, edits = 100 }) {
  const folder = mkdtempSync(join(tmpdir(), 'mqtt-p2p-scale-'));
  const scene = async (stage) => {
    const repositories = names(count);
    const config = { broker: { ...stage.broker, connectTimeoutMs: 120_000 }, repositories };
    const [maker, other] = [stage.worker(), stage.worker()];
    const [began] = await maker.ask('start', { count: 1, config: { ...config, storage: { path: folder } } });
    const created = await maker.ask('create', { repositories, canvases, nodes });
    let [joined, connected] = [0, 0];
    const joining = await during(stage, [other], async () => {
      [connected] = await other.ask('start', { count: 1, config });
      joined = await other.ask('join', { canvases, nodes });
    });
    await pause(idleMs / 2);
    const idle = await during(stage, [maker], () => pause(idleMs));
    const idleOther = await during(stage, [other], () => pause(idleMs));
    await other.ask('listen');
    await maker.ask('edit', { repositories: repositories.slice(-1), edits, pauseMs: 20 });
    await pause(500);
    return {
      ...(await latency([other])),
      'started s': round(began / 1000, 2),
      'created s': round(created / 1000),
      'joined s': round((connected + joined) / 1000),
      'messages to join': joining.grown('messages'),
      'MiB to join': round(joining.grown('bytes') / MIB),
      'MiB on disk': round(idle.rss / MIB, 0),
      'MiB in memory': round(idleOther.rss / MIB, 0),
      'idle CPU %': idle.cpu,
      'idle CPU in memory %': idleOther.cpu,
    };
  };
  return onStage(scene).finally(() => rmSync(folder, { recursive: true, force: true }));
}

/** So many people edit one canvas at once. */
export function people({ people, processes, edits = 10, pauseMs = 2000, nodes = 200 }) {
  return onStage(async (stage) => {
    const repositories = names(1);
    const config = { broker: stage.broker, repositories };
    const workers = Array.from({ length: processes }, () => stage.worker());
    await workers[0].ask('start', { count: 1, config });
    await workers[0].ask('create', { repositories, canvases: 1, nodes });
    const rest = (index) => people / processes - (index === 0 ? 1 : 0);
    const times = await Promise.all(
      workers.map((worker, index) => worker.ask('start', { count: rest(index), config })),
    );
    await Promise.all(workers.map((worker) => worker.ask('join', { canvases: 1, nodes })));
    await Promise.all(workers.map((worker) => worker.ask('listen')));
    const editing = await during(stage, workers, async () => {
      const edit = { repositories, edits, pauseMs };
      await Promise.all(workers.map((worker) => worker.ask('edit', edit)));
      await pause(500);
    });
    const made = people * edits;
    return {
      ...(await latency(workers)),
      'edits/s': round(made / editing.seconds, 0),
      'join p50 ms': round(quantile(times.flat(), 0.5), 0),
      'CPU ms per edit and peer': round(editing.grown('cpuMs') / made / people, 3),
      'broker CPU ms per edit and peer': round((editing.brokerCpu * editing.seconds * 10) / made / people, 4),
      'bytes sent per edit': round(editing.grown('sentBytes') / made, 0),
      'bytes received per edit and peer': round(editing.grown('bytes') / made / people, 0),
      'MiB per peer': round(editing.rss / MIB / people, 1),
    };
  });
}

/** Two processes, and one canvas of so many nodes. */
export function canvas({ nodes, edits = 200 }) {
  return onStage(async (stage) => {
    const repositories = names(1);
    const config = { broker: stage.broker, repositories };
    const [maker, other] = [stage.worker(), stage.worker()];
    await Promise.all([maker, other].map((worker) => worker.ask('start', { count: 1, config })));
    await maker.ask('settle');
    const empty = await figures([maker]);
    const created = await maker.ask('create', { repositories, canvases: 1, nodes });
    await other.ask('join', { canvases: 1, nodes });
    const late = stage.worker();
    let [connected, joined] = [0, 0];
    const joining = await during(stage, [late], async () => {
      [connected] = await late.ask('start', { count: 1, config });
      joined = await late.ask('join', { canvases: 1, nodes });
    });
    await Promise.all([other, late].map((worker) => worker.ask('listen')));
    const editing = await during(stage, [maker, other, late], () =>
      maker.ask('edit', { repositories, edits, pauseMs: 20 }).then(() => pause(500)),
    );
    return {
      ...(await latency([other, late])),
      'created s': round(created / 1000, 2),
      'joined s': round((connected + joined) / 1000, 2),
      'KiB to join': round(joining.grown('bytes') / 1024, 0),
      'CPU ms per edit and peer': round(editing.grown('cpuMs') / edits / 3, 2),
      'MiB of the canvas': round((joining.rss - empty[0].rss) / MIB, 0),
    };
  });
}

/**
 * A service with so many empty repositories, which does nothing; for the first minute announcements become rarer. Memory is
 * what each repository adds to that of one.
 */
export function idle({ repositories: count, settleMs = 60_000, idleMs = 20_000 }) {
  return onStage(async (stage) => {
    const started = async (repositories) => {
      const worker = stage.worker();
      const config = { broker: { ...stage.broker, connectTimeoutMs: 120_000 }, repositories };
      const [ms] = await worker.ask('start', { count: 1, config });
      return { worker, ms };
    };
    const one = await started(names(1));
    const many = await started(names(count).map((name) => `other-${name}`));
    await pause(settleMs);
    await one.worker.ask('settle');
    const [alone] = await figures([one.worker]);
    const idle = await during(stage, [many.worker], () => pause(idleMs));
    return {
      'started ms': round(many.ms, 0),
      'MiB of the process with one': round(alone.rss / MIB, 0),
      'KiB per further repository': round((idle.rss - alone.rss) / 1024 / Math.max(count - 1, 1), 0),
      'idle CPU %': idle.cpu,
    };
  });
}

/** By scenario: what it is, and its parameters at full size, at a tenth of it, and so small that a test can run it. */
export const SCENARIOS = {
  peers: {
    title: 'Peers on one broker, ten in each repository, 50 edits a second in all',
    run: peers,
    sizes: {
      full: { peers: 1000, repositories: 100, processes: 4 },
      tenth: { peers: 100, repositories: 10, processes: 4 },
      tiny: { peers: 4, repositories: 2, processes: 1, heartbeatSeconds: 1, edits: 2 },
    },
  },
  crowd: {
    title: 'Peers in one repository, one of whom edits twice a second',
    run: peers,
    sizes: {
      full: { peers: 100, repositories: 1, processes: 4, edits: 30, pauseMs: 500 },
      tenth: { peers: 10, repositories: 1, processes: 2, edits: 30, pauseMs: 500 },
      tiny: { peers: 2, repositories: 1, processes: 1, heartbeatSeconds: 1, edits: 2 },
    },
  },
  repositories: {
    title: 'Repositories of 100 canvases each, in one service',
    run: repositories,
    sizes: {
      full: { repositories: 100, canvases: 100 },
      tenth: { repositories: 10, canvases: 100 },
      tiny: { repositories: 2, canvases: 2, idleMs: 100, edits: 2 },
    },
  },
  people: {
    title: 'People who edit one canvas, an edit every two seconds each',
    run: people,
    sizes: {
      full: { people: 50, processes: 5 },
      tenth: { people: 5, processes: 5 },
      tiny: { people: 2, processes: 2, edits: 2, pauseMs: 20, nodes: 5 },
    },
  },
  canvas: {
    title: 'Nodes in one canvas',
    run: canvas,
    sizes: { full: { nodes: 50_000 }, tenth: { nodes: 5000 }, tiny: { nodes: 5, edits: 2 } },
  },
  idle: {
    title: 'Empty repositories in one service, at rest',
    run: idle,
    sizes: {
      full: { repositories: 100 },
      tenth: { repositories: 10 },
      tiny: { repositories: 2, settleMs: 0, idleMs: 100 },
    },
  },
};
