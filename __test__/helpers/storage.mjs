import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { smallCanvas } from './canvases.mjs';
import { temporaryFolder } from './folders.mjs';
import { freePort } from './ports.mjs';
import { newPeer, REPOSITORY } from './two-peers.mjs';

/** A service with storage, started without any broker. */
export async function alone(t, path, options = {}) {
  const peer = newPeer(
    t,
    { host: '127.0.0.1', port: await freePort() },
    { offline: 'allow', storage: { path }, ...options },
  );
  await peer.initialize();
  return peer;
}

/** All canvases of a peer: id -> content. */
export async function all(peer) {
  const list = await peer.listCanvases(REPOSITORY);
  const canvases = await Promise.all(list.map(({ id }) => peer.getCanvas(REPOSITORY, id)));
  return Object.fromEntries(list.map(({ id, version }, index) => [id, { version, canvas: canvases[index] }]));
}

/** Names, sizes and content of a directory's files, but for the number of its starts, which also a failed one counts. */
export function fingerprint(folder) {
  const isData = (name) => name !== 'starts' && statSync(join(folder, name)).isFile();
  const files = readdirSync(folder, { recursive: true }).filter(isData);
  const digest = (name) =>
    createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex');
  return Object.fromEntries(files.sort().map((name) => [name, digest(name)]));
}

/** The file that holds the canvases: the largest one. */
export function dataFile(folder) {
  const paths = readdirSync(folder).map((name) => join(folder, name));
  return paths.sort((a, b) => statSync(b).size - statSync(a).size)[0];
}

/** Storage with some canvases, closed in good order; and what was in it. */
export async function closedStorage(t) {
  const path = temporaryFolder(t);
  const peer = await alone(t, path);
  for (let n = 0; n < 10; n++) {
    await peer.createCanvas(REPOSITORY, `canvas-${n}`, smallCanvas(), 'ada');
    const text = `text ${n} `.repeat(500);
    await peer.patchCanvas(REPOSITORY, `canvas-${n}`, { nodes: { upsert: [{ id: 'a', text }] } }, 'ada');
  }
  const before = await all(peer);
  await peer.disconnect();
  return { path, before };
}
