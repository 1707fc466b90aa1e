import { Command } from 'commander';
import { recoverStorage } from '../index.js';
import { CROSS, print, printJson, TICK } from './output.js';
import { UsageError } from './settings.js';

interface Options {
  dataDir?: string;
  json?: boolean;
}

/** `mqtt-p2p recover`: rescues what can be read of a damaged data directory. */
export function recover(): Command {
  return new Command('recover')
    .summary('rescue what can be read of a damaged data directory')
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
  const { documents, complete, changes, waitingChanges, snapshots, lostBytes, damagedFile } = report;
  const whole = documents > 0 && complete === documents;
  process.exitCode = damagedFile === null || whole ? 0 : 1;
  if (json) {
    printJson(report);
    return;
  }
  if (damagedFile === null) {
    print(`${TICK} nothing is damaged, nothing was changed`);
    return;
  }
  if (documents === 0) {
    print(`${CROSS} nothing could be rescued; start with an empty directory, and catch up from other peers`);
  } else {
    print(`${whole ? TICK : CROSS} rescued ${documents} documents with ${changes} changes (${snapshots} snapshots)`);
    print(whole ? '  everything that was noted of them is there' : `  ${documents - complete} of them lack something`);
    if (waitingChanges > 0) print(`  ${waitingChanges} changes cannot be shown until others that are lost come back`);
    if (lostBytes > 0) print(`  ${lostBytes} bytes were found damaged; other peers may have what was in them`);
  }
  print(`  the damaged file is ${damagedFile}; delete it when all is well`);
}
