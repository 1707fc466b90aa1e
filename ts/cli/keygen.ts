import { resolve } from 'node:path';
import { Command } from 'commander';
import { createKeyFile } from '../index.js';
import { print, printJson, TICK } from './output.js';

const DEFAULT_FILE = 'mqtt-p2p.key';

/** `mqtt-p2p keygen [file]`: makes the key that the peers of an encrypted repository share. */
export function keygen(): Command {
  return new Command('keygen')
    .argument('[file]', 'the new file; one that exists is never overwritten', DEFAULT_FILE)
    .description('make a key for encrypted repositories')
    .option('--json', 'print JSON')
    .action(run);
}

async function run(file: string, { json }: { json?: boolean }): Promise<void> {
  const path = resolve(file);
  await createKeyFile(path);
  if (json) {
    printJson({ keyFile: path });
    return;
  }
  print(`${TICK} ${path} has a new key, which only you can read`);
  print(
    '  Every peer of the repository needs this file. Take it to the others over a channel that you trust, not over',
  );
  print('  the broker, and keep a copy: whoever has it reads and writes everything, and without it nobody can.');
  print(`  Use it with --key-file, MQTT_KEY_FILE, or in a configuration:`);
  print(`    "features": { "encryption": true }, "encryption": { "keyFile": ${JSON.stringify(path)} }`);
}
