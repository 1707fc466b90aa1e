#!/usr/bin/env node
import { main } from './cli/program.js';

// Whoever reads what we print may have had enough, as `head` and pagers do.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

void main(process.argv);
