// Create canvas
await service.createCanvas('my-repo', 'canvas-1', canvasData, 'user1');

// Update canvas
await service.updateCanvas('my-repo', 'canvas-1', updatedData, 'user1');

// Share canvas
await service.shareCanvas('my-repo', 'canvas-1', 'target-repo');

// Enable real-time collaboration
await service.enableRealTimeCollaboration('my-repo', 'canvas-1');
