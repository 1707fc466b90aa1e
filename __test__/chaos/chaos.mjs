import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { startMosquitto } from '../helpers/mosquitto.mjs';
import { freePort } from '../helpers/ports.mjs';
import { seededRandom } from '../helpers/random.mjs';
import { until } from '../helpers/wait.mjs';
import { ChaosPeer } from './peer.mjs';

const NAMES = ['ada', 'ben', 'cleo', 'dan', 'eve', 'fay'];
/** So few that canvases fall asleep and are read again all the time. */
const MAX_OPEN_CANVASES = 4;
const KILLS_PER_BROKER_KILL = 25;
const KILLS_PER_PHASE = 50;
/** The longest that the broker stays away. */
const BROKER_AWAY_MS = 300;
/** The latest moment of its start at which a process is killed. */
const START_MS = 300;
/** With everything running undisturbed, so long may it take until all are equal. */
const EQUAL_WITHIN_MS = 120_000;
const PROGRESS_MS = 1_000;

/**
 * Peers in processes of their own, each with its storage, edit canvases through a Mosquitto. They are killed and started
 * again so many times, and so is the broker. Then everything runs undisturbed until all are equal, and it is counted
 * which acknowledged edits are not there. `report(line)` is told how it goes.
 */
export async function chaos({ kills = 200, peers = 4, seed = Date.now(), report = () => {} } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'mqtt-p2p-chaos-'));
  const run = new Chaos({ kills, seed, report, folder, port: await freePort() }, NAMES.slice(0, peers));
  try {
    return await run.all();
  } finally {
    await run.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

class Chaos {
  #wanted;
  #seed;
  #report;
  #port;
  #peers;
  #broker;
  #failure;
  #killed = 0;
  #left = 0;
  #brokerKills = 0;
  #divergent = [];
  #onFailure = (error) => {
    this.#failure ??= error;
  };

  constructor({ kills, seed, report, folder, port }, names) {
    this.#wanted = kills;
    this.#seed = seed;
    this.#report = report;
    this.#port = port;
    const options = { port, seed, repository: 'chaos', maxOpenCanvases: MAX_OPEN_CANVASES };
    this.#peers = names.map((name) => new ChaosPeer(name, folder, options, this.#onFailure));
  }

  async all() {
    await this.#startBroker();
    const telling = setInterval(() => this.#report(this.#progress()), PROGRESS_MS);
    try {
      for (const peer of this.#peers) peer.start();
      // A failure ends them all; none may start a process after we have left.
      const fates = [...this.#peers.map((peer) => this.#fate(peer)), this.#fateOfTheBroker()];
      await Promise.all(fates.map((fate) => fate.catch(this.#onFailure)));
    } finally {
      clearInterval(telling);
    }
    this.#check();
    this.#report(`${this.#progress()}; now undisturbed`);
    await this.#settle();
    const start = performance.now();
    const lost = this.#lost(await this.#untilEqual());
    const equalAfterMs = Math.round(performance.now() - start);
    // What is on the disks is the same, too.
    await this.#each((peer) => peer.leave());
    await this.#each((peer) => peer.start());
    await this.#settle();
    const again = await this.#untilEqual();
    return {
      seed: this.#seed,
      kills: this.#killed,
      departures: this.#left,
      brokerKills: this.#brokerKills,
      canvases: Object.keys(again).length,
      equalAfterMs,
      acknowledged: this.#journals().filter(({ kind }) => kind !== 'deleting').length,
      lost: [...new Set([...lost, ...this.#lost(again)])],
      divergent: this.#divergent,
    };
  }

  async end() {
    await Promise.all(this.#peers.map((peer) => peer.end()));
    await this.#broker?.stop();
  }

  /** Life after life of one peer, until all kills are done. The seed decides; each ends at a moment of its own. */
  async #fate(peer) {
    const random = seededRandom(`${this.#seed}/fate/${peer.name}`);
    const over = () => this.#killed >= this.#wanted || this.#failure;
    for (;;) {
      const [way, length, moment] = [random(), random(), random()];
      if (way < 0.1) {
        await pause(START_MS * moment);
      } else {
        // Most lives are short, some long.
        await peer.edits(1 + Math.floor(way < 0.9 ? 30 * length : 300 * length), over);
        await pause(10 * moment);
      }
      if (over()) return;
      if (way > 0.2 && way < 0.3) {
        await peer.leave();
        this.#left++;
      } else {
        await peer.kill();
        this.#killed++;
      }
      if (this.#killed % KILLS_PER_PHASE === 0) this.#enter(this.#killed / KILLS_PER_PHASE);
      peer.start();
    }
  }

  #enter(phase) {
    for (const peer of this.#peers) peer.enter(phase);
  }

  async #fateOfTheBroker() {
    const random = seededRandom(`${this.#seed}/broker`);
    for (let next = KILLS_PER_BROKER_KILL; next <= this.#wanted; next += KILLS_PER_BROKER_KILL) {
      await until(() => this.#killed >= next || this.#failure, `${next} kills`, 3_600_000);
      if (this.#failure) return;
      await this.#broker.kill();
      await pause(BROKER_AWAY_MS * random());
      await this.#startBroker();
      this.#brokerKills++;
    }
  }

  /** Remembers nothing of what an earlier one had. */
  async #startBroker() {
    this.#broker = await startMosquitto(['allow_anonymous true', 'persistence false'], {}, this.#port);
  }

  /** Everybody has started and stops editing. */
  async #settle() {
    await this.#each((peer) => peer.edits(1, () => this.#failure));
    this.#check();
    await this.#each((peer) => peer.ask('settle'));
  }

  async #untilEqual() {
    let looks = [];
    this.#divergent = [];
    const equal = async () => {
      this.#check();
      looks = await this.#each((peer) => peer.ask('look'));
      return looks.every((look) => isDeepStrictEqual(look, looks[0]));
    };
    await until(equal, 'all are equal', EQUAL_WITHIN_MS).catch((error) => {
      const ids = new Set(looks.flatMap((look) => Object.keys(look)));
      this.#divergent = [...ids].filter((id) => !looks.every((look) => isDeepStrictEqual(look[id], looks[0][id])));
      if (this.#divergent.length === 0) throw error;
    });
    return looks[0];
  }

  /** What was acknowledged and is not there. */
  #lost(canvases) {
    const records = this.#journals();
    const deleted = new Set(records.filter(({ kind }) => kind === 'deleting').map(({ canvas, key }) => canvas + key));
    const nodes = Object.fromEntries(
      Object.entries(canvases).map(([id, { canvas }]) => [id, new Map(canvas.nodes.map((node) => [node.id, node]))]),
    );
    const there = {
      node: (canvas, key) => nodes[canvas]?.has(key) || deleted.has(canvas + key),
      property: (canvas, key) => canvases[canvas]?.canvas[key] === key,
      shared: (canvas, key) => nodes[canvas]?.get('shared')?.[key] === key,
      gone: (canvas, key) => !nodes[canvas]?.has(key),
      deleting: () => true,
    };
    return records
      .filter(({ kind, canvas, key }) => !there[kind](canvas, key))
      .map(({ kind, canvas, key }) => `${kind} ${key} of ${canvas}`);
  }

  #journals() {
    return this.#peers.flatMap((peer) => peer.journal());
  }

  #each(action) {
    return Promise.all(this.#peers.map(action));
  }

  #check() {
    if (this.#failure) throw new Error(`seed ${this.#seed}: ${this.#failure.message}`);
  }

  #progress() {
    const edits = this.#peers.reduce((sum, { total }) => sum + total, 0);
    return `${this.#killed}/${this.#wanted} kills, ${this.#left} left, broker ${this.#brokerKills}, ${edits} edits`;
  }
}

/** The outcome in lines for people. */
export function outcome(result) {
  const { seed, kills, departures, brokerKills, canvases, acknowledged, equalAfterMs, lost, divergent } = result;
  return [
    `seed                ${seed}`,
    `kills survived      ${kills}`,
    `orderly departures  ${departures}`,
    `broker kills        ${brokerKills}`,
    `canvases            ${canvases}`,
    `edits acknowledged  ${acknowledged}`,
    `equal after         ${(equalAfterMs / 1000).toFixed(1)} s undisturbed`,
    `lost                ${lost.length}${lost.length > 0 ? `: ${lost.slice(0, 10).join(', ')}` : ''}`,
    `divergent           ${divergent.length}${divergent.length > 0 ? `: ${divergent.join(', ')}` : ''}`,
  ];
}
