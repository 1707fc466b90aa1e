// This product with encryption and with storage on disk: `--systems floor,mqtt-p2p-sealed`, for workloads without proxies.
import { existsSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { createKeyFile } from '../../../dist/index.js';
import { connect as connectPlain } from './mqtt-p2p.mjs';

export { broker } from './mqtt-p2p.mjs';

/** Removed by who runs the benchmark, when it ends. */
const { SCRATCH } = process.env;

export async function connect(options) {
  // The peers of a stage share the broker, and so the key.
  const keyFile = join(SCRATCH, `${options.port}.key`);
  if (!existsSync(keyFile)) await createKeyFile(keyFile);
  const path = mkdtempSync(join(SCRATCH, 'peer-'));
  return connectPlain({ ...options, encryption: { keyFile }, storage: { path } });
}
