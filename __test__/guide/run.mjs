// Runs the compiled examples of the guide, which lie beside this file, and prints what became of them as JSON.
import { MQTTIntegrationService } from '@mind-git/mqtt-p2p';

const repositories = ['my-repo', 'target-repo', 'repo-a', 'repo-b', 'design-team', 'dev-team', 'qa-team'];
const broker = { host: 'localhost', port: 1883 };
const outcome = {};

// The first example makes a service of its own and leaves it open.
let opened;
const { initialize } = MQTTIntegrationService.prototype;
MQTTIntegrationService.prototype.initialize = function () {
  opened = this;
  return initialize.call(this);
};
await import('./service.js');
outcome.connected = opened.getNetworkStatus().connected;
await opened.disconnect();

globalThis.canvasData = { nodes: [{ id: 'a', x: 0 }], edges: [] };
globalThis.updatedData = { nodes: [{ id: 'a', x: 1 }, { id: 'b' }], edges: [] };
globalThis.service = new MQTTIntegrationService({ broker, repositories });
await service.initialize();
await import('./real-time-monitoring.js');
await import('./canvas-operations.js');
await import('./basic-canvas-sharing.js');
await import('./multi-repository-sync.js');
outcome.updated = await service.getCanvas('target-repo', 'canvas-1');
outcome.shared = await service.getCanvas('repo-b', 'shared-canvas');
await service.disconnect();
console.log(JSON.stringify(outcome));
