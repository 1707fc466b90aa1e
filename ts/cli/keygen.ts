import { resolve } from 'node:path';
import { Command } from 'commander';
import { createInvite, createKeyFile } from '../index.js';
import { print, printJson, TICK } from './output.js';
import { UsageError } from './settings.js';

const DEFAULT_FILE = 'mqtt-p2p.key';

/** `mqtt-p2p keygen [file]`: makes the key that the peers of an encrypted repository share, or an invite to make it of a passphrase. */
export function keygen(): Command {
  return new Command('keygen')
    .argument('[file]', 'the new file; one that exists is never overwritten', DEFAULT_FILE)
    .description('make a key for encrypted repositories, or an invite that makes one of a passphrase')
    .option('--passphrase', 'make no file, but print an invite, of which a passphrase makes the key')
    .option('--json', 'print JSON')
    .action(run);
}

interface Options {
  passphrase?: boolean;
  json?: boolean;
}

async function run(file: string, { passphrase, json }: Options, command: Command): Promise<void> {
  if (passphrase && command.args.length > 0) throw new UsageError('keygen --passphrase makes no file; name none');
  if (passphrase) await invite(json ?? false);
  else await key(file, json ?? false);
}

async function invite(json: boolean): Promise<void> {
  const text = await createInvite();
  if (json) {
    printJson({ invite: text });
    return;
  }
  print(text);
  print();
  print(
    '  This invite and a passphrase of your choice make the key. Every peer of the repository needs both. The invite',
  );
  print(
    '  is no secret. Choose a passphrase that nobody guesses, such as six words drawn by lot, and tell the others over',
  );
  print('  a channel that you trust: whoever has both reads and writes everything, and without them nobody can.');
  print('  Use it with --invite (or MQTT_INVITE) and --passphrase-file (or MQTT_PASSPHRASE), or in a configuration:');
  print(`    "features": { "encryption": true },`);
  print(`    "encryption": { "passphrase": "…", "invite": ${JSON.stringify(text)} }`);
}

async function key(file: string, json: boolean): Promise<void> {
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
