// Repository A creates and shares canvas
await service.createCanvas('repo-a', 'shared-canvas', canvasData, 'alice');
await service.shareCanvas('repo-a', 'shared-canvas', 'repo-b');

// Repository B receives and can collaborate
await service.enableRealTimeCollaboration('repo-b', 'shared-canvas');
