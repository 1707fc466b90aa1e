import { python } from '../helpers/checkers.mjs';

const TOKEN = /"[^"]*"|<[^>]*>|%x[\dA-F]+-[\dA-F]+|\d*\*\d*|\d+|[A-Za-z][\w-]*|[/()]/g;
const CORE = { ALPHA: '[A-Za-z]', DIGIT: '[0-9]' };

/**
 * Makes a regular expression of one rule of an ABNF grammar (RFC 5234) whose rules are not recursive. What it says in words
 * (`<…>`) needs an expression in `words`. Libraries for ABNF read from left to right without a way back, which the topic
 * prefix needs.
 */
export function expressionOf(abnf, rule, words = {}) {
  const rules = new Map();
  for (const line of abnf
    .replace(/[ \t]*;.*$/gm, '')
    .replace(/\n\s+/g, ' ')
    .trim()
    .split('\n')) {
    const [, name, definition] = /^([\w-]+)\s*=\s*(.+)$/.exec(line) ?? [];
    if (name === undefined || rules.has(name)) throw new Error(`no rule, or one that is there already: ${line}`);
    if (definition.replace(TOKEN, '').trim() !== '') throw new Error(`not understood: ${line}`);
    rules.set(name, definition);
  }
  const one = (name) => {
    if (CORE[name]) return CORE[name];
    if (!rules.has(name)) throw new Error(`there is no rule ${name}`);
    const tokens = rules.get(name).match(TOKEN);
    const expression = alternatives(tokens, one, words);
    if (tokens.length > 0) throw new Error(`not understood in ${name}: ${tokens.join(' ')}`);
    return expression;
  };
  return new RegExp(`^${one(rule)}$`);
}

/** Takes alternatives from the front of the tokens, up to a closing bracket or the end. */
function alternatives(tokens, one, words) {
  const parts = [''];
  while (tokens.length > 0 && tokens[0] !== ')') {
    if (tokens[0] === '/') {
      tokens.shift();
      parts.push('');
    } else parts[parts.length - 1] += repeated(tokens, one, words);
  }
  return `(?:${parts.join('|')})`;
}

function repeated(tokens, one, words) {
  const [, least, star, most] = /^(\d*)(\*?)(\d*)$/.exec(tokens[0]) ?? [];
  if (least === undefined) return element(tokens, one, words);
  tokens.shift();
  return `${element(tokens, one, words)}{${least || 0}${star && ','}${most}}`;
}

function element(tokens, one, words) {
  const token = tokens.shift();
  if (token === '(') {
    const group = alternatives(tokens, one, words);
    if (tokens.shift() !== ')') throw new Error('a bracket is not closed');
    return group;
  }
  if (token.startsWith('"')) return `(?:${escaped(token.slice(1, -1))})`;
  if (token.startsWith('<')) {
    if (!words[token]) throw new Error(`what is ${token}?`);
    return `(?:${words[token]})`;
  }
  const range = /^%x(.+)-(.+)$/.exec(token);
  return range ? `[\\x${range[1]}-\\x${range[2]}]` : one(token);
}

const escaped = (text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

const VALIDATE = `
import json, sys
from cddl_verifier import validate
asked = json.load(sys.stdin)
result = []
for item, rule in asked["items"]:
    found = validate(asked["grammar"], bytes.fromhex(item), root_type=rule)
    result.append(None if found.valid else "; ".join(str(diagnostic) for diagnostic in found.diagnostics) or "invalid")
print(json.dumps(result))
`;

/** What a CDDL grammar (RFC 8610) has against each of `[hex, rule]`: null, or what is wrong. */
export function cddlProblems(grammar, items) {
  const { status, stdout, stderr } = python(['-c', VALIDATE], JSON.stringify({ grammar, items }));
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}
