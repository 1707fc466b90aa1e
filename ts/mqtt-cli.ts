#!/usr/bin/env node
// Whoever reads what we print may have had enough, as `head` and pagers do.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

import('./cli/program.js').then(
  ({ main }) => main(process.argv),
  // Such as an addon that is not there: people want to know what to do, and not where that was found out.
  (error: Error) => {
    console.error(`mqtt-p2p: ${error.message}`);
    process.exitCode = 1;
  },
);
