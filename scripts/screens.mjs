// Makes docs/images/*.svg: two people at one canvas, monitor, client and test as they look in a terminal, captured with tmux.
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

const session = (author) => (broker) => [
  'client',
  ...['--memory', '--broker', broker.url, '--repositories', 'design', '--canvas', 'roadmap', '--author', author],
];

const SCREENS = {
  together: {
    columns: 72,
    rows: 18,
    command: session('Ada'),
    beside: session('Ben'),
    type: [
      [0, 'create'],
      [0, 'add idea "A board that everybody edits"'],
      [1, 'add merge "Edits merge"'],
      [0, 'link idea merge'],
      [1, 'text idea "A board that everybody edits, live"'],
      [1, 'move merge 300 0'],
      [0, 'show'],
      [1, 'show'],
    ],
    until: (text) => text.split('╰').length > 4,
    settle: 500,
  },
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
    command: session('Ada'),
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

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what this finds
const ATTRIBUTES = /\u001b\[[0-9;]*m/g;

/** Lines of a screen, each with the attributes that hold where it begins, and none behind it. */
function alone(screen) {
  let held = [];
  return screen.split('\n').map((line) => {
    const whole = `${held.join('')}${line}\u001b[0m`;
    const codes = [...held, ...(line.match(ATTRIBUTES) ?? [])];
    held = codes.slice(codes.findLastIndex((code) => code === '\u001b[0m' || code === '\u001b[m') + 1);
    return whole;
  });
}

/** Two screens side by side. */
function joined(left, right, columns) {
  const others = alone(right);
  return alone(left)
    .map((line, index) => {
      const seen = [...line.replace(ATTRIBUTES, '')].length;
      return `${line}${' '.repeat(columns - seen)}\u001b[90m│\u001b[0m ${others[index] ?? ''}`;
    })
    .join('\n');
}

async function capture(name, { columns = COLUMNS, rows, command, beside, type = [], during, until, settle }) {
  const broker = await startBroker();
  const stop = await during?.(broker);
  // A prompt of one sign, and nothing of whoever makes the pictures.
  const shell = (words) => {
    const quoted = [process.execPath, join(root, 'dist/mqtt-cli.js'), ...words].map((word) => `'${word}'`);
    return `cd ${tmpdir()}; ${quoted.join(' ')}; sleep 60`;
  };
  const width = beside ? 2 * columns + 1 : columns;
  const screen = (...options) => {
    const [left, right] = ['0', '1']
      .slice(0, beside ? 2 : 1)
      .map((pane) => tmux('capture-pane', '-t', pane, '-p', ...options));
    return right === undefined ? left : joined(left, right, columns);
  };
  try {
    tmux('new-session', '-d', '-x', String(width), '-y', String(rows), shell(command(broker)));
    if (beside) tmux('split-window', '-h', shell(beside(broker)));
    const text = () => screen();
    for (const step of type) {
      const [pane, line] = typeof step === 'string' ? [0, step] : step;
      await wait(beside ? 1000 : 400);
      tmux('send-keys', '-t', String(pane), '-l', line);
      tmux('send-keys', '-t', String(pane), 'Enter');
    }
    const end = performance.now() + DEADLINE_MS;
    while (!until(text())) {
      if (performance.now() > end) throw new Error(`${name} did not come so far:\n${text()}`);
      await wait(100);
    }
    await wait(settle);
    const shown = screen('-e').trimEnd();
    const title = beside ? 'two people, one canvas: mqtt-p2p client' : `mqtt-p2p ${name}`;
    writeFileSync(join(IMAGES, `${name}.svg`), svg(shown, beside ? width + 1 : width, title));
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
