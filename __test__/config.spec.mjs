import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_MQTT_INTEGRATION_CONFIG, MQTTIntegrationService, MqttP2pError } from '@mind-git/mqtt-p2p';

const valid = { broker: { host: 'localhost', port: 1883 }, repositories: ['repo'] };

describe('configuration', () => {
  test('the whole configuration of the guide is valid', () => {
    const config = {
      broker: { host: 'localhost', port: 1883, username: 'optional-user', password: 'optional-pass' },
      repositories: ['repo-1', { name: 'repo-2' }],
      features: { realTimeCollaboration: true, autoSync: true, discovery: true, encryption: false },
      performance: { maxMessageSize: 1048576, maxConnections: 100, heartbeatInterval: 30 },
    };
    const service = new MQTTIntegrationService(config);
    assert.deepEqual(service.validateConfig(config), { valid: true, errors: [] });
  });

  const wrong = [
    ['nothing', undefined, /./],
    ['null', null, /./],
    ['a cycle', Object.assign({}, { self: null }), /self/],
    ['an unknown field', { ...valid, brokers: {} }, /brokers/],
    ['an unknown nested field', { ...valid, features: { discoverry: true } }, /discoverry/],
    ['encryption that is no switch', { ...valid, features: { encryption: 'yes' } }, /features\.encryption/],
    ['a wrong type', { ...valid, broker: { port: '1883' } }, /port/],
    ['a port out of range', { ...valid, broker: { port: 70000 } }, /port/],
    ['an empty repository name', { ...valid, repositories: [''] }, /repositor/],
    ['a repository name too long', { ...valid, repositories: ['x'.repeat(513)] }, /repositor/],
    ['no repositories field', { broker: {} }, /repositories/],
    ['a message size of nothing', { ...valid, performance: { maxMessageSize: 1 } }, /maxMessageSize/],
    ['a negative heartbeat', { ...valid, performance: { heartbeatInterval: -1 } }, /heartbeatInterval/],
    ['storage without a path', { ...valid, storage: {} }, /storage.*path/],
    ['storage that is a path', { ...valid, storage: './data' }, /storage/],
    ['storage of no directory', { ...valid, storage: { path: '' } }, /storage\.path/],
    ['room for no canvas', { ...valid, performance: { maxOpenCanvases: 0 } }, /maxOpenCanvases/],
    ['an offline that is neither', { ...valid, offline: true }, /offline/],
    ['an empty topic prefix', { ...valid, topicPrefix: '' }, /topicPrefix/],
  ];
  for (const [name, config, message] of wrong) {
    test(`${name} is refused, naming the field`, () => {
      assert.throws(
        () => new MQTTIntegrationService(config),
        (error) => {
          assert.ok(error instanceof MqttP2pError);
          assert.equal(error.code, 'ERR_CONFIG_INVALID');
          assert.match(error.message, message);
          return true;
        },
      );
      const checked = new MQTTIntegrationService(valid).validateConfig(config);
      assert.equal(checked.valid, false);
      assert.match(checked.errors.join('\n'), message);
    });
  }

  test('what cannot be written as JSON is refused', () => {
    const cycle = { ...valid };
    cycle.broker = cycle;
    for (const config of [cycle, { ...valid, topicPrefix: 1n }]) {
      assert.throws(() => new MQTTIntegrationService(config), { code: 'ERR_CONFIG_INVALID' });
    }
  });

  test('a wrong configuration never shows the password', () => {
    const config = { ...valid, broker: { ...valid.broker, password: 'hush-hush', port: -1 } };
    assert.throws(
      () => new MQTTIntegrationService(config),
      (error) => !`${error.stack}`.includes('hush-hush'),
    );
  });

  test('the defaults are a valid configuration and cannot be changed', () => {
    const { valid: isValid } = new MQTTIntegrationService(valid).validateConfig({
      ...DEFAULT_MQTT_INTEGRATION_CONFIG,
      repositories: ['repo'],
    });
    assert.ok(isValid);
    assert.deepEqual(DEFAULT_MQTT_INTEGRATION_CONFIG.broker.port, 1883);
    assert.ok(DEFAULT_MQTT_INTEGRATION_CONFIG.features.realTimeCollaboration);
    assert.throws(() => {
      DEFAULT_MQTT_INTEGRATION_CONFIG.broker.port = 1;
    }, TypeError);
  });
});
