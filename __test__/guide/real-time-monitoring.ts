// Monitor collaboration events
service.on('canvas-updated', (event) => {
  console.log(`Canvas ${event.canvasId} updated by ${event.author}`);
});

service.on('peer-discovered', (peer) => {
  console.log(`New peer: ${peer.id} from ${peer.repository}`);
});
