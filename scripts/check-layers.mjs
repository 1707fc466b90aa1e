// A layer imports only from those above it: for Rust in the table of src/lib.rs, for TypeScript in the rules below.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { root } from './stamps.mjs';

const problems = [];

/** What the pure layers must not name: they get time, randomness and bytes passed in. */
const IMPURE = /\b(tokio|rumqttc|rmqtt|napi)::|\bstd::(fs|net|process|thread|time)\b|\b(Instant|SystemTime)::now\b/;
/** What commands import from below: the public API, and what only git's tools and those who watch a broker need of the core. */
const FOR_COMMANDS = ['../index.js', '../canvas-texts.js', '../tap.js'];
const PURE = ['canvas', 'wire', 'crypto', 'sync'];

checkRust();
checkTypeScript();
if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exitCode = 1;
}

function checkRust() {
  const layerOf = rustLayers();
  for (const file of sources('src', '.rs')) {
    const module = relative('src', file).replace(/\.rs$/, '').split('/')[0];
    if (module === 'lib') continue;
    if (/\/tests\/|tests\.rs$/.test(file)) continue;
    const layer = layerOf.get(module);
    if (layer === undefined) {
      problems.push(`${file}: module "${module}" is missing in the layer table of src/lib.rs`);
      continue;
    }
    for (const { line, text } of codeLines(file)) {
      for (const used of modulesNamedIn(text)) {
        // Same layer: its modules may know each other.
        if (!layerOf.has(used) || layerOf.get(used) > layer) {
          problems.push(`${file}:${line}: L${layer} "${module}" must not use "${used}"`);
        }
      }
      // Tests may read files.
      if (/^\s*#\[cfg\(test\)\]/.test(text)) break;
      if (PURE.includes(module) && IMPURE.test(text)) {
        problems.push(`${file}:${line}: "${module}" is pure: no clock, I/O or runtime in it`);
      }
    }
  }
}

/** Module name -> layer number, from rows such as "| L2 | [`wire`], [`crypto`] | what |". */
function rustLayers() {
  const layers = new Map();
  const rows = readFileSync(join(root, 'src/lib.rs'), 'utf8').matchAll(/^\/\/! \| L(\d+) \| ([^|]+) \|/gm);
  for (const [, layer, modules] of rows) {
    for (const [, module] of modules.matchAll(/`(\w+)`/g)) layers.set(module, Number(layer));
  }
  if (layers.size === 0) problems.push('src/lib.rs: the layer table is missing');
  return layers;
}

/** Top-level modules in `crate::wire::…` and in `crate::{ids::…, wire::…}`. */
function modulesNamedIn(text) {
  const names = [...text.matchAll(/\bcrate::(\w+)/g)].map(([, name]) => name);
  const group = /\bcrate::\{(.*)\}/.exec(text)?.[1] ?? '';
  let depth = 0;
  let name = '';
  for (const char of `${group},`) {
    if (char === '{') depth++;
    else if (char === '}') depth--;
    else if (char === ',' && depth === 0) {
      const top = /^\s*(\w+)/.exec(name)?.[1];
      if (top) names.push(top);
      name = '';
    } else name += char;
  }
  return names;
}

function checkTypeScript() {
  const forbidden = (file, from) => {
    if (file.startsWith('ts/cli/')) return !from.startsWith('./') && !FOR_COMMANDS.includes(from) && local(from);
    if (file === 'ts/mqtt-cli.ts') return !from.startsWith('./cli/') && local(from);
    return from.startsWith('./cli/') || from === './mqtt-cli.js';
  };
  for (const file of sources('ts', '.ts')) {
    for (const { line, text } of codeLines(file)) {
      const from = /\bfrom '([^']+)'|\bimport\('([^']+)'\)|^import '([^']+)'/.exec(text)?.slice(1).find(Boolean);
      if (from && forbidden(file, from)) problems.push(`${file}:${line}: must not import "${from}"`);
    }
  }
}

function local(from) {
  return from.startsWith('.');
}

function sources(folder, extension) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(extension))
    .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name)).replaceAll('\\', '/'))
    .sort();
}

/** Statements without comments, `use` groups of several lines joined, each with the number of its first line. */
function codeLines(file) {
  const lines = [];
  let open;
  for (const [index, raw] of readFileSync(join(root, file), 'utf8').split('\n').entries()) {
    const text = raw.replace(/(^|\s)\/\/.*$/, '');
    if (open) {
      open.text += ` ${text.trim()}`;
      if (text.includes(';')) open = undefined;
      continue;
    }
    const entry = { line: index + 1, text };
    lines.push(entry);
    if (/^\s*(pub(\(\w+\))? )?(use|import) .*\{[^;]*$/.test(text)) open = entry;
  }
  return lines;
}
