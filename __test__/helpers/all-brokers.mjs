import { fileURLToPath } from 'node:url';
import { BrokerProcess } from './broker-process.mjs';
import { MOSQUITTO, startDeployedMosquitto } from './mosquitto.mjs';
import { NATS, startDeployedNats } from './nats.mjs';
import { freePort } from './ports.mjs';
import { RABBITMQ, startDeployedRabbitmq } from './rabbitmq.mjs';

/**
 * The brokers that the conformance suite runs on, by the names that `docs/brokers.md` has for them. `start()` gives a
 * `BrokerProcess` with the configuration of `deploy/`, and `debian` is the package to install where it is not `there`. One that is
 * `expected` must be there in CI.
 */
export const BROKERS = {
  embedded: { there: true, start: startEmbedded },
  Mosquitto: { there: Boolean(MOSQUITTO), start: startDeployedMosquitto, debian: 'mosquitto', expected: true },
  NATS: { there: Boolean(NATS), start: startDeployedNats, debian: 'nats-server', expected: true },
  RabbitMQ: { there: Boolean(RABBITMQ), start: startDeployedRabbitmq, debian: 'rabbitmq-server', expected: false },
};

/** Why tests of a broker are skipped, or `false` to run them: where they then fail, it should have been there. */
export function skipWithout(name) {
  const { there, debian, expected } = BROKERS[name];
  if (there || (expected && process.env.CI)) return false;
  return `${name} is not installed: apt-get install ${debian}`;
}

async function startEmbedded() {
  const script = fileURLToPath(new URL('./embedded-broker.mjs', import.meta.url));
  const launch = ({ port }) => ({ program: process.execPath, args: [script, String(port)] });
  return new BrokerProcess('embedded', await freePort(), launch).start();
}
