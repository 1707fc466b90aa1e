import { Command } from 'commander';
import { recoverStorage } from '../index.js';
import { print, printJson, TICK } from './output.js';
import { UsageError } from './settings.js';

interface Options {
  dataDir?: string;
  json?: boolean;
}

/** `mqtt-p2p recover`: rescues what can be read of a damaged data directory. */
export function recover(): Command {
  return new Command('recover')
    .description('rescue what can be read of a damaged data directory; the damaged file is kept beside the new one')
    .option('--data-dir <path>', 'the directory (default: MQTT_DATA_DIR)')
    .option('--json', 'print JSON')
    .action(run);
}

async function run({ dataDir, json }: Options): Promise<void> {
  const path = dataDir ?? process.env.MQTT_DATA_DIR;
  // Which of the default directories is meant cannot be guessed, and the error message named it.
  if (!path) throw new UsageError('recover needs --data-dir <path>: the directory that the error message named');
  const report = await recoverStorage(path);
  if (json) {
    printJson(report);
    return;
  }
  const { documents, changes, snapshots, lostBytes, damagedFile } = report;
  if (damagedFile === null) {
    print(`${TICK} nothing is damaged, nothing was changed`);
    return;
  }
  print(`${TICK} rescued ${documents} documents with ${changes} changes (${snapshots} snapshots)`);
  print(
    lostBytes > 0 ? `  ${lostBytes} bytes could not be used; other peers may have what was in them` : '  all of it',
  );
  print(`  the damaged file is ${damagedFile}; delete it when all is well`);
}
