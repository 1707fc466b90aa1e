import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../helpers/processes.mjs';

/** Every Markdown file of the project, committed or about to be. */
export function documents() {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '*.md'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return [...new Set(listed.split('\0').filter(Boolean))].sort();
}

/** The code blocks of a Markdown file: `[{ file, line, language, text }]`, also those within lists. */
export function blocksOf(file) {
  const blocks = [];
  let open;
  for (const [index, line] of readFileSync(join(ROOT, file), 'utf8').split('\n').entries()) {
    const fence = /^( *)(```+|~~~+)(.*)$/.exec(line);
    if (open && fence?.[2] === open.fence && fence[3].trim() === '') {
      const { indent, language, lines } = open;
      const text = lines.map((line) => line.slice(Math.min(indent, /^ */.exec(line)[0].length))).join('\n');
      blocks.push({ file, line: open.line, language, text: `${text}\n` });
      open = undefined;
    } else if (open) open.lines.push(line);
    else if (fence) {
      open = { indent: fence[1].length, fence: fence[2], language: fence[3].trim(), line: index + 1, lines: [] };
    }
  }
  if (open) throw new Error(`${file}:${open.line}: the code block has no end`);
  return blocks;
}

/** Where a block is, for people. */
export const place = ({ file, line }) => `${file}:${line}`;
