// Runs the simulation for as long as asked: `npm run test:soak -- --seconds 3600 [--from <first seed>]`.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { root } from './stamps.mjs';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' }, from: { type: 'string' } } });
const env = { ...process.env, MQTT_P2P_SOAK_S: values.seconds, ...(values.from && { MQTT_P2P_FROM: values.from }) };
// With the profile and features of `npm test`, so that nothing is built again for it.
const command = ['scripts/cargo.mjs', 'test', '--test', 'simulation', '--', '--nocapture'];
const { status } = spawnSync(process.execPath, command, { cwd: root, env, stdio: 'inherit' });
process.exitCode = status ?? 1;
