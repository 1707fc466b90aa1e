import './addon.js';

import { defaultConfig } from '../binding.js';
import type * as Public from '../index.js';
import { applyCanvasChanges } from './apply-canvas-changes.js';
import { startBroker } from './broker.js';
import { MqttP2pError } from './errors.js';
import { createInvite, createKeyFile } from './keys.js';
import { MQTTIntegrationService } from './service.js';
import { recoverStorage } from './storage.js';

export type * from '../index.js';

/** Every default, as a whole configuration. */
const DEFAULT_MQTT_INTEGRATION_CONFIG = deepFreeze(JSON.parse(defaultConfig()) as Public.MQTTIntegrationConfig);

export {
  applyCanvasChanges,
  createInvite,
  createKeyFile,
  DEFAULT_MQTT_INTEGRATION_CONFIG,
  MQTTIntegrationService,
  MqttP2pError,
  recoverStorage,
  startBroker,
};

// Compiles only while what is exported keeps the promises of `index.d.ts`.
({
  applyCanvasChanges,
  createInvite,
  createKeyFile,
  DEFAULT_MQTT_INTEGRATION_CONFIG,
  MQTTIntegrationService,
  MqttP2pError,
  recoverStorage,
  startBroker,
}) satisfies typeof Public;

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) deepFreeze(part);
  return Object.freeze(value);
}
