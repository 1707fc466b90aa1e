// Makes docs/images/*.svg: monitor, client and test as they look in a terminal, captured with tmux.
//   node scripts/screens.mjs [name…]
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { root } from './stamps.mjs';
import { svg } from './terminal-svg.mjs';

const COLUMNS = 110;
const DEADLINE_MS = 60_000;
const IMAGES = join(root, 'docs/images');

const { MQTTIntegrationService, startBroker } = await import('@mind-git/mqtt-p2p');

const SCREENS = {
  monitor: {
    rows: 28,
    command: ({ url }) => ['monitor', '--broker', url, '--repositories', 'design,plans', '--interval', '1'],
    during: busy,
    // Some reports, so that the sparklines have something to show.
    until: (text) => /● connected/.test(text) && /█.*\n.*█/.test(text),
    settle: 12_000,
  },
  client: {
    rows: 32,
    command: ({ url }) => [
      'client',
      '--memory',
      '--broker',
      url,
      '--repositories',
      'design',
      '--canvas',
      'roadmap',
      '--author',
      'Ada',
    ],
    type: [
      'create',
      'add idea "A board that everybody edits"',
      'add plan "Peers meet at a broker"',
      'add merge "Edits merge"',
      'add ship "Nothing is lost"',
      'link idea plan',
      'link plan merge',
      'link plan ship',
      'move merge 700 0',
      'move ship 700 200',
      'peers',
      'show',
    ],
    during: async (broker) => {
      const ben = await peer(broker, 'design');
      return async () => ben.disconnect();
    },
    until: (text) => /Nothing is lost *│/.test(text),
    settle: 500,
  },
  test: {
    rows: 18,
    command: ({ url }) => ['test', '--broker', url, '--duration', '0.2'],
    until: (text) => /^(passed|missed)/m.test(text),
    settle: 200,
  },
};

async function peer({ host, port }, ...repositories) {
  const service = new MQTTIntegrationService({ broker: { host, port }, repositories });
  await service.initialize();
  return service;
}

/** Two peers at work, in two repositories; gives what stops them. */
async function busy(broker) {
  const [ada, ben] = await Promise.all([peer(broker, 'design', 'plans'), peer(broker, 'design')]);
  for (const [repository, canvas] of [
    ['design', 'roadmap'],
    ['design', 'onboarding'],
    ['plans', '2027'],
  ])
    await ada.createCanvas(repository, canvas, { nodes: [{ id: 'a', type: 'text', text: '' }] }, 'Ada');
  let running = true;
  const edit = async (who, name, pause) => {
    for (let x = 0; running; x++) {
      await who.patchCanvas('design', 'roadmap', { nodes: { upsert: [{ id: name, x }] } }, name).catch(() => {});
      await wait(pause * (1 + Math.sin(x / 9)));
    }
  };
  const both = [edit(ada, 'Ada', 12), edit(ben, 'Ben', 30)];
  return async () => {
    running = false;
    await Promise.all(both);
    await Promise.all([ada.disconnect(), ben.disconnect()]);
  };
}

/** A tmux server of our own, so that nobody's sessions are touched. */
function tmux(...args) {
  const { status, stdout, stderr } = spawnSync('tmux', ['-L', `mqtt-p2p-${process.pid}`, '-f', '/dev/null', ...args], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`tmux ${args[0]}: ${stderr}`);
  return stdout;
}

async function capture(name, { rows, command, type = [], during, until, settle }) {
  const broker = await startBroker();
  const stop = await during?.(broker);
  const words = [process.execPath, join(root, 'dist/mqtt-cli.js'), ...command(broker)];
  const quoted = words.map((word) => `'${word}'`).join(' ');
  try {
    // A prompt of one sign, and nothing of whoever makes the pictures.
    tmux('new-session', '-d', '-x', String(COLUMNS), '-y', String(rows), `cd ${tmpdir()}; ${quoted}; sleep 60`);
    const text = () => tmux('capture-pane', '-p');
    for (const line of type) {
      await wait(400);
      tmux('send-keys', '-l', line);
      tmux('send-keys', 'Enter');
    }
    const end = performance.now() + DEADLINE_MS;
    while (!until(text())) {
      if (performance.now() > end) throw new Error(`${name} did not come so far:\n${text()}`);
      await wait(100);
    }
    await wait(settle);
    const shown = tmux('capture-pane', '-p', '-e').trimEnd();
    writeFileSync(join(IMAGES, `${name}.svg`), svg(shown, COLUMNS, `mqtt-p2p ${name}`));
    console.log(`docs/images/${name}.svg`);
  } finally {
    tmux('kill-server');
    await stop?.();
    await broker.stop();
  }
}

execFileSync('tmux', ['-V'], { stdio: 'ignore' });
mkdirSync(IMAGES, { recursive: true });
const wanted = process.argv.slice(2);
for (const [name, screen] of Object.entries(SCREENS)) {
  if (wanted.length === 0 || wanted.includes(name)) await capture(name, screen);
}
