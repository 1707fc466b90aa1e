import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { MqttP2pError } from '../index.js';
import { bench } from './bench.js';
import { canvases } from './canvases.js';
import { client } from './client.js';
import { completion } from './completion.js';
import { configGit } from './config-git.js';
import { demo } from './demo.js';
import { demoEncrypted } from './demo-encrypted.js';
import { demoFiles } from './demo-files.js';
import { demoLateJoiner } from './demo-late-joiner.js';
import { diff } from './diff.js';
import { health } from './health.js';
import { keygen } from './keygen.js';
import { members } from './members.js';
import { mergeDriver } from './merge-driver.js';
import { monitor } from './monitor.js';
import { peers } from './peers.js';
import { recover } from './recover.js';
import { rotateKey } from './rotate-key.js';
import { server } from './server.js';
import { type CommonOptions, UsageError } from './settings.js';
import { tail } from './tail.js';
import { test } from './test.js';
import { watch } from './watch.js';

/** Runs the command line and sets the exit status: 0 done, 1 failed, 2 wrong usage. */
export async function main(argv: string[]): Promise<void> {
  try {
    await program().parseAsync(argv);
  } catch (error) {
    process.exitCode = report(error);
  }
}

function program(): Command {
  const { version } = JSON.parse(readFileSync(join(__dirname, '../../package.json'), 'utf8')) as { version: string };
  const all = new Command('mqtt-p2p')
    .description('Real-time, peer-to-peer collaboration on JSON Canvas boards through any MQTT broker')
    .version(version)
    .exitOverride()
    .showHelpAfterError('(--help tells more)')
    .addHelpText('after', ENVIRONMENT);
  for (const [group, commands] of Object.entries(COMMANDS)) {
    all.commandsGroup(group);
    for (const command of commands) {
      all.addCommand(command().exitOverride().showHelpAfterError('(--help tells more)'));
    }
  }
  // Before anything of the core runs: it reads this once.
  all.hook('preAction', (_, command) => {
    const { logFormat } = command.opts<CommonOptions>();
    if (logFormat) process.env.MQTT_LOG_FORMAT = logFormat;
  });
  return all;
}

const COMMANDS = {
  'Taking part:': [server, client, watch],
  'Looking:': [canvases, peers, tail, health, monitor],
  'Measuring:': [test, bench],
  'Keys, members and storage:': [keygen, rotateKey, members, recover],
  'For git:': [configGit, diff, mergeDriver],
  'Seeing it work:': [demo, demoFiles, demoLateJoiner, demoEncrypted],
  'For the shell:': [completion],
};

const ENVIRONMENT = `
Environment (options given on the command line beat it, it beats the --config file):
  MQTT_BROKER_PROTOCOL, MQTT_BROKER_HOST, MQTT_BROKER_PORT, MQTT_USERNAME, MQTT_PASSWORD or MQTT_PASSWORD_FILE,
  MQTT_REPOSITORIES, MQTT_TLS_CA, MQTT_TLS_CERT, MQTT_TLS_KEY, MQTT_TLS_SERVER_NAME, MQTT_TLS_INSECURE (0 or 1),
  MQTT_DATA_DIR, MQTT_KEY_FILE, or MQTT_PASSPHRASE with MQTT_INVITE (turn encryption on)
  DEBUG=mqtt:*          logs on standard error; DEBUG=mqtt:sync,mqtt:net those of parts (sync, net, storage, files)
  MQTT_LOG_FORMAT=json  logs as JSON lines, as --log-format json
  NO_COLOR=1            no colours

Exit status: 0 done, 1 failed, 2 wrong usage.`;

function report(error: unknown): number {
  // Commander has already printed what was wrong; help and version leave this way too.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const { message } = error as Error;
  const code = error instanceof MqttP2pError ? `${error.code}: ` : '';
  console.error(`mqtt-p2p: ${code}${message}`);
  if (error instanceof MqttP2pError && error.code === 'ERR_STORAGE_LOCKED') {
    console.error('Name another directory with --data-dir, or use --memory.');
  }
  const usage = error instanceof UsageError || (error instanceof MqttP2pError && error.code === 'ERR_CONFIG_INVALID');
  return usage ? 2 : 1;
}
