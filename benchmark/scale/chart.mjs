// The picture of the runs: for each scenario how many times a figure grew from a tenth of the size to the whole, on a logarithmic
// axis. At 1× a peer, repository or edit costs the same at both sizes.
import { logAxis } from '../log-axis.mjs';

const WIDTH = 960;
const LEFT = 330;
const RIGHT = 60;
const TOP = 76;
const ROW = 26;
const HEAD = 34;
const FONT = 'font-family="system-ui, sans-serif"';
const COLOR = '#2563eb';
const GREY = '#777';

/** SVG of the results that `run.mjs` gathers. */
export function chart(results) {
  const scenarios = Object.values(results).filter(({ tenth, full }) => tenth && full);
  const groups = scenarios.map(({ title, tenth, full }) => ({ title, rows: rowsOf(tenth.figures, full.figures) }));
  const ratios = groups.flatMap(({ rows }) => rows.map(({ ratio }) => ratio));
  const { x, grid } = logAxis(ratios, { least: 0.5, most: 10, left: LEFT, right: WIDTH - RIGHT });
  const height = TOP + groups.reduce((sum, { rows }) => sum + HEAD + rows.length * ROW, 0) + 16;
  let y = TOP;
  const drawn = groups.flatMap(({ title, rows }) => {
    y += HEAD;
    const head = text(16, y - 8, title, 'font-size="14" font-weight="600"');
    const lines = rows.map((row) => {
      y += ROW;
      return drawnRow(row, y - ROW / 2, x);
    });
    return [head, ...lines];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ${FONT}>`,
    '<title>How figures grow from a tenth of the size to the whole</title>',
    text(16, 28, 'From a tenth of the size to the whole: how many times as much', 'font-size="17" font-weight="600"'),
    ...grid(TOP - 10, height - 16),
    ...drawn,
    '</svg>',
    '',
  ].join('\n');
}

/** Figures that both runs have and that are above nothing. */
function rowsOf(tenth, full) {
  return Object.keys(full)
    .filter((name) => tenth[name] > 0 && full[name] > 0)
    .map((name) => ({ name, from: tenth[name], to: full[name], ratio: full[name] / tenth[name] }));
}

function drawnRow({ name, from, to, ratio }, y, x) {
  return [
    text(16, y + 4, name, 'font-size="12"'),
    `<line x1="${x(1)}" y1="${y}" x2="${x(ratio)}" y2="${y}" stroke="${COLOR}" stroke-width="3"/>`,
    `<circle cx="${x(ratio)}" cy="${y}" r="5" fill="${COLOR}"/>`,
    text(LEFT - 20, y + 4, `${short(from)} → ${short(to)}`, 'font-size="11" text-anchor="end"'),
  ].join('');
}

const text = (x, y, content, attributes) => `<text x="${x}" y="${y}" fill="${GREY}" ${attributes}>${content}</text>`;
const short = (value) => value.toLocaleString('en', { maximumSignificantDigits: 3 });
