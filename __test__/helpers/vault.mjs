import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { temporaryFolder } from './folders.mjs';
import { newPeer, REPOSITORY } from './two-peers.mjs';
import { nextEvent, until } from './wait.mjs';

/** As most editors write a canvas. */
export const pretty = (canvas) => `${JSON.stringify(canvas, null, '\t')}\n`;

/** A canvas of one card with the given text, and of further ones. */
export const card = (text, ...others) => ({
  nodes: [{ id: 'a', type: 'text', x: 0, y: 0, width: 200, height: 60, text }, ...others],
  edges: [],
});

/** A folder with canvas files, removed after the test. */
export function vault(t, canvases = {}) {
  const folder = vaultAt(temporaryFolder(t, 'vault'));
  for (const [id, canvas] of Object.entries(canvases)) folder.save(id, canvas);
  return folder;
}

/** A folder that is there. */
export function vaultAt(path) {
  const file = (id) => join(path, `${id}.canvas`);
  const made = (id) => {
    mkdirSync(dirname(file(id)), { recursive: true });
    return file(id);
  };
  const read = (id) => readFileSync(file(id), 'utf8');
  const parsed = (id) => {
    try {
      return JSON.parse(read(id));
    } catch {
      return undefined;
    }
  };
  return {
    path,
    file,
    read,
    parsed,
    has: (id) => existsSync(file(id)),
    /** Bytes and times: what shows that nobody wrote. */
    stamp: (id) => ({ text: read(id), inode: statSync(file(id)).ino, mtime: statSync(file(id)).mtimeMs }),
    save: (id, canvas) => writeFileSync(made(id), typeof canvas === 'string' ? canvas : pretty(canvas)),
    /** Saves as careful editors do: beside the file, and then in its place. */
    replace(id, canvas) {
      writeFileSync(`${made(id)}~`, pretty(canvas));
      renameSync(`${file(id)}~`, file(id));
    },
    /** Saves as careless ones do: the file is empty, then half there; `between` runs before the second half. */
    async saveInParts(id, canvas, between) {
      const text = pretty(canvas);
      const handle = openSync(made(id), 'w');
      writeSync(handle, text.slice(0, text.length / 2));
      await between?.();
      writeSync(handle, text.slice(text.length / 2));
      closeSync(handle);
    },
    /** Saves the file with something in it changed. */
    edit(id, change) {
      const canvas = parsed(id);
      change(canvas);
      writeFileSync(file(id), pretty(canvas));
      return canvas;
    },
    rename(from, to) {
      renameSync(file(from), made(to));
    },
    remove: (id) => rmSync(file(id)),
    /** All canvas files by name, and whatever else was left there. */
    names: () =>
      readdirSync(path, { recursive: true })
        .filter((name) => !/^\.git(\/|$)/.test(name) && statSync(join(path, name), { throwIfNoEntry: false })?.isFile())
        .sort(),
    /** Waits until the file fits: equals a canvas, or passes a test. */
    until: (id, wanted) =>
      until(
        () => {
          const canvas = existsSync(file(id)) && parsed(id);
          return canvas && fits(canvas, wanted) && canvas;
        },
        `${id}.canvas holds ${typeof wanted === 'function' ? wanted : JSON.stringify(wanted)}`,
      ).catch((error) => {
        throw new Error(`${error.message}; it holds ${existsSync(file(id)) ? read(id) : 'nothing'}`);
      }),
    untilGone: (id) => until(() => !existsSync(file(id)), `${id}.canvas is gone`),
  };
}

const fits = (canvas, wanted) => (typeof wanted === 'function' ? wanted(canvas) : isDeepStrictEqual(canvas, wanted));

/** What the tests set unless they are about it. */
const QUICK = { debounceMs: 10, author: 'ada' };

/** A service whose canvases are the files of a folder, not initialized yet; `peer.seen` has its events. */
export function newBound(t, broker, { path }, { folder = {}, ...options } = {}) {
  const repositories = [{ name: REPOSITORY, path, ...QUICK, ...folder }];
  const peer = newPeer(t, broker, { offline: 'allow', ...options, repositories });
  const seen = [];
  for (const name of EVENTS) peer.on(name, (event) => seen.push({ event: name, ...event, ...described(event) }));
  peer.on('error', (error) => seen.push({ event: 'error', ...described(error), ...error }));
  const of = (name) => seen.filter(({ event }) => event === name);
  const untilSeen = (name, wanted = () => true) => until(() => of(name).find(wanted), `the event ${name}`);
  return Object.assign(peer, { seen, of, untilSeen });
}

const described = (error) => (error instanceof Error ? { message: error.message } : {});

/** The same, connected and with all files taken in. */
export async function bound(t, broker, folder, options) {
  const peer = newBound(t, broker, folder, options);
  const ready = nextEvent(peer, 'files-ready');
  await peer.initialize();
  await ready;
  return peer;
}

const EVENTS = [
  'canvas-created',
  'canvas-updated',
  'canvas-deleted',
  'conflict',
  'files-ready',
  'files-paused',
  'files-resumed',
  'file-written',
  'file-removed',
  'file-set-aside',
];

/** Two folders under one name, each with a service, and what is in the first. */
export async function twoVaults(t, broker, canvases = {}, options = {}) {
  const one = vault(t, canvases);
  const other = vault(t);
  const ada = await bound(t, broker, one, options);
  const ben = await bound(t, broker, other, { ...options, folder: { author: 'ben', ...options.folder } });
  for (const id of Object.keys(canvases)) await other.until(id, one.parsed(id));
  return { one, other, ada, ben };
}

/** Waits until a service has a canvas that fits. */
export async function untilCanvas(peer, id, wanted) {
  const named = typeof wanted === 'function' ? wanted : JSON.stringify(wanted);
  let canvas;
  const there = async () => {
    canvas = await peer.getCanvas(REPOSITORY, id).catch(() => undefined);
    return canvas && fits(canvas, wanted) && canvas;
  };
  return until(there, `the canvas ${id} is ${named}`).catch((error) => {
    throw new Error(`${error.message}; it is ${JSON.stringify(canvas)}`);
  });
}

/** The text of a canvas's first card. */
export const textOf = (canvas) => canvas.nodes.find(({ id }) => id === 'a')?.text;
