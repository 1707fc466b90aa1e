import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { MQTTIntegrationService } from '@mind-git/mqtt-p2p';
import { smallCanvas } from './canvases.mjs';
import { scoped } from './teardown.mjs';
import { until } from './wait.mjs';

export const REPOSITORY = 'team';
export const CANVAS = 'boards/plan';

/** A service, not connected yet; disconnected after the test. */
export function newPeer(t, broker, options = {}) {
  const { host, port } = broker;
  const config = { repositories: [REPOSITORY], ...options, broker: { host, port, ...options.broker } };
  const peer = new MQTTIntegrationService(config);
  scoped(t).defer(() => peer.disconnect());
  return peer;
}

/** A connected service, disconnected after the test. */
export async function onePeer(t, broker, options) {
  const peer = newPeer(t, broker, options);
  await peer.initialize();
  return peer;
}

/** Two connected services that hold one canvas, which the first one created. */
export async function twoPeers(t, broker, canvas = smallCanvas(), options = {}) {
  const [ada, ben] = await Promise.all([onePeer(t, broker, options), onePeer(t, broker, options)]);
  await ada.createCanvas(REPOSITORY, CANVAS, canvas, 'ada');
  await untilListed(ben, CANVAS);
  await untilEqual(ada, ben);
  return { ada, ben };
}

/** Waits until a peer's list shows a canvas. */
export function untilListed(peer, canvasId, repository = REPOSITORY) {
  const listed = async () => (await peer.listCanvases(repository)).some(({ id }) => id === canvasId);
  return until(listed, `${canvasId} is listed in ${repository}`);
}

/** Waits until all peers read the same canvas and it fits; gives it. */
export async function untilEqual(...peersAndCondition) {
  const fits = typeof peersAndCondition.at(-1) === 'function' ? peersAndCondition.pop() : () => true;
  return until(async () => {
    const canvases = await Promise.all(peersAndCondition.map((peer) => peer.getCanvas(REPOSITORY, CANVAS)));
    return canvases.every((canvas) => isDeepStrictEqual(canvas, canvases[0])) && fits(canvases[0]) && canvases[0];
  }, 'all peers read the same canvas');
}

/** Asserts that a promise rejects with an error of the given code, and gives the error. */
export async function rejectsWith(promise, code, message = /./) {
  let caught;
  await assert.rejects(promise, (error) => {
    caught = error;
    return true;
  });
  assert.equal(caught.code, code, caught.stack);
  assert.match(caught.message, message);
  return caught;
}
