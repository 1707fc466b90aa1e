import { existsSync, readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { describeTexts, plainText } from '../canvas-texts.js';
import { colour, print, printJson } from './output.js';
import { UsageError } from './settings.js';
import { visible } from './text.js';
import { text, textOrNothing } from './text-files.js';

interface Options {
  external?: boolean;
  textconv?: boolean;
  json?: boolean;
}

/** `mqtt-p2p diff`: what changed in a canvas, in words. */
export function diff(): Command {
  return new Command('diff')
    .description('tell in words what changed between two canvas files')
    .argument('<files...>', 'two files; one that is missing, or /dev/null, is an empty canvas')
    .addOption(new Option('--external', 'take the arguments of an external diff of git').conflicts('textconv'))
    .addOption(new Option('--textconv', 'print one file, one node or edge a line, for git').conflicts('json'))
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(run);
}

const HELP = `
For git, once: GIT_EXTERNAL_DIFF='mqtt-p2p diff --external --' git diff -- '*.canvas'
For git, always: mqtt-p2p config-git --enable`;

function run(files: string[], { textconv, external, json = false }: Options): void {
  if (textconv) showPlain(files);
  else if (external) showExternal(files, json);
  else showChanges(files, json);
}

function showChanges(files: string[], json: boolean): void {
  if (files.length !== 2) throw new UsageError('diff takes two files');
  const [before = '', after = ''] = files;
  if (![before, after].some((file) => file === '/dev/null' || existsSync(file))) {
    throw new Error(`there is neither ${visible(before)} nor ${visible(after)}`);
  }
  const changes = describeTexts(textOrNothing(before), textOrNothing(after));
  if (json) printJson({ changes });
  else for (const line of changes) print(line);
}

/** What is no canvas, such as one with conflict markers, is shown as it is: git gives up when this fails. */
function showPlain([file, ...more]: string[]): void {
  if (file === undefined || more.length > 0) throw new UsageError('diff --textconv takes one file');
  try {
    process.stdout.write(plainText(text(file)));
  } catch {
    process.stdout.write(readFileSync(file));
  }
}

/**
 * Git passes path, old file, hash, mode, new file, hash, mode; after a renaming also the new path and what git would
 * say of it; of a file with conflicts the path alone. It gives up altogether unless the status is 0.
 */
function showExternal(parameters: string[], json: boolean): void {
  const [path = '', before, , , after, , , renamed] = parameters;
  if (parameters.length !== 1 && parameters.length < 7) throw new UsageError('diff --external is called by git');
  const changes = changesOf(before, after);
  if (changes.length === 0 && renamed === undefined) changes.push('holds the same, written in another way');
  if (json) {
    printJson({ path, ...(renamed !== undefined && { renamed }), changes });
  } else {
    print(colour.bold(visible(renamed === undefined ? path : `${path} → ${renamed}`)));
    for (const line of changes) print(`  ${line}`);
  }
}

function changesOf(before: string | undefined, after: string | undefined): string[] {
  if (before === undefined || after === undefined) return ['has conflicts that are not resolved'];
  try {
    return describeTexts(textOrNothing(before), textOrNothing(after));
  } catch (error) {
    return [(error as Error).message];
  }
}
