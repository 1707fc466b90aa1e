import { MQTTIntegrationService } from '@mind-git/mqtt-p2p';

const service = new MQTTIntegrationService({
  broker: {
    host: 'localhost',
    port: 1883
  },
  repositories: ['my-repo'],
  features: {
    realTimeCollaboration: true,
    autoSync: true,
    discovery: true,
    encryption: false
  },
  performance: {
    maxMessageSize: 1024 * 1024, // 1MB
    maxConnections: 100,
    heartbeatInterval: 30
  }
});

await service.initialize();
