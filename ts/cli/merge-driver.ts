import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import { mergeTexts } from '../canvas-texts.js';
import { wholeNumber } from './settings.js';
import { visible } from './text.js';
import { text } from './text-files.js';

/** Of git's markers, unless it says otherwise. */
const MARKER_SIZE = 7;
const MAX_MARKER_SIZE = 1000;

/** `mqtt-p2p merge-driver`: merges two branches of a canvas, for git. Status 1 tells git that there are conflicts. */
export function mergeDriver(): Command {
  return new Command('merge-driver')
    .summary('merge two branches of a canvas, for git')
    .description('merge two branches of a canvas, for git (config-git --enable makes git call it)')
    .argument('<base>', 'the common ancestor (%O)')
    .argument('<ours>', 'our version (%A); the result is written here')
    .argument('<theirs>', 'their version (%B)')
    .argument('[markerSize]', 'length of conflict markers (%L)', wholeNumber(1, MAX_MARKER_SIZE), MARKER_SIZE)
    .argument('[path]', 'where the file belongs (%P), for messages')
    .addHelpText('after', HELP)
    .action(run);
}

const HELP = `
Edits merge as they do live: property by property, texts by word, and an edit of a card's content outlives its
deletion. A property that both changed to different values is a conflict: both versions are left between markers, told on
standard error, and the status is 1. So it is when a version is no canvas, and then <ours> is left as it is.`;

function run(base: string, ours: string, theirs: string, markerSize: number, path = ours): void {
  const name = visible(path);
  try {
    const merged = mergeTexts(text(base), text(ours), text(theirs), markerSize);
    writeFileSync(ours, merged.text);
    for (const conflict of merged.conflicts) console.error(`mqtt-p2p: ${name}: conflict: ${conflict}`);
    if (merged.conflicts.length > 0) process.exitCode = 1;
  } catch (error) {
    console.error(`mqtt-p2p: ${name}: not merged, our version is left as it is: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
