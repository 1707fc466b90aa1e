// What the guide's shorter examples take for granted.
declare var service: import('@mind-git/mqtt-p2p').MQTTIntegrationService;
declare var canvasData: import('@mind-git/mqtt-p2p').CanvasData;
declare var updatedData: import('@mind-git/mqtt-p2p').CanvasData;
