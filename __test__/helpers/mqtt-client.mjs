import { connectAsync } from 'mqtt';
import { scoped } from './teardown.mjs';
import { nextEvent, until } from './wait.mjs';

/**
 * A plain MQTT 3.1.1 client, closed after the test; it connects once and does not come back. `heard` is what it has received:
 * `{ topic, text, bytes, qos, retain }`. Options are those of MQTT.js.
 */
export async function mqttClient(t, { host, port }, options = {}) {
  const client = await connectAsync(`mqtt://${host}:${port}`, { protocolVersion: 4, reconnectPeriod: 0, ...options });
  client.on('error', () => {}); // Its end is what tests look at.
  scoped(t).defer(() => client.endAsync(true));
  client.heard = [];
  client.on('message', (topic, payload, { qos, retain }) => {
    client.heard.push({ topic, text: String(payload.subarray(0, 100)), bytes: payload.length, qos, retain });
  });
  return client;
}

/** Waits until a client has received a message that fits, and gives it. */
export function received(client, fits, deadlineMs) {
  return until(() => client.heard.find(fits), 'a fitting message arrives', deadlineMs);
}

/** Waits until what the broker had to send to a client before now has arrived, as far as brokers keep that order. */
export async function settled(client, topic = `settled/${client.options.clientId}`) {
  for (let turn = 0; turn < 2; turn++) {
    const back = nextEvent(client, 'message', (heard) => heard === topic);
    await client.subscribeAsync(topic, { qos: 1 });
    await client.publishAsync(topic, 'x', { qos: 1 });
    await back;
  }
}
