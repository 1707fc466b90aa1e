// The embedded broker as a process of its own, that it can be killed like any other: `node embedded-broker.mjs <port>`.
import { startBroker } from '@mind-git/mqtt-p2p';

const broker = await startBroker({ port: Number(process.argv[2]) });
process.once('SIGTERM', () => broker.stop().then(() => process.exit()));
// A broker alone keeps no process alive.
setInterval(() => {}, 1 << 30);
