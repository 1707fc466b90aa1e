// The picture of a run: how many times the raw broker's figure each system takes, on a logarithmic axis, less to the left
// being better whatever the figure.
import { logAxis } from '../log-axis.mjs';

const SYSTEMS = { 'mqtt-p2p': '#2563eb', yjs: '#d97706', 'automerge-repo': '#9333ea' };
const WIDTH = 960;
const LEFT = 390;
const RIGHT = 40;
const TOP = 92;
const ROW = 46;
/** What a figure below a dot takes. */
const LABEL = 60;
const FONT = 'font-family="system-ui, sans-serif"';

/** SVG of the results that `run.mjs` gathers. */
export function chart(results) {
  const rows = Object.values(results).map(rowOf).filter(Boolean);
  const all = rows.flatMap(({ dots }) => dots.map(({ ratio }) => ratio));
  const { x, grid } = logAxis(all, { least: 1, most: 10, left: LEFT, right: WIDTH - RIGHT });
  const height = TOP + rows.length * ROW + 24;
  const legend = Object.entries(SYSTEMS).map(
    ([system, color], n) =>
      `<circle cx="${LEFT + 10 + n * 170}" cy="52" r="6" fill="${color}"/>` +
      `<text x="${LEFT + 22 + n * 170}" y="56" font-size="13" fill="#777">${system}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ${FONT}>`,
    '<title>How many times what the raw broker takes</title>',
    '<text x="16" y="28" font-size="17" font-weight="600" fill="#777">Times what the raw broker takes; further left is better</text>',
    ...legend,
    ...grid(TOP - 12, height - 24),
    ...rows.map((row, n) => drawn(row, TOP + n * ROW + ROW / 2, x)),
    '</svg>',
    '',
  ].join('\n');
}

/** The first figure of a workload, as ratios to the floor in which less is better; nothing without a floor. */
function rowOf({ title, better, systems }) {
  const [figure, floor] = Object.entries(systems.floor ?? {})[0] ?? [];
  if (typeof floor !== 'number') return null;
  const dots = Object.keys(SYSTEMS).flatMap((system) => {
    const value = systems[system]?.[figure];
    if (typeof value !== 'number') return [];
    return [{ system, value, ratio: better === 'less' ? value / floor : floor / value }];
  });
  return { title, figure, floor, dots: dots.toSorted((one, other) => one.ratio - other.ratio) };
}

function drawn({ title, figure, floor, dots }, y, x) {
  const text = (at, content, attributes) => `<text y="${at}" fill="#777" ${attributes}>${content}</text>`;
  return [
    text(y - 3, title, 'x="16" font-size="13"'),
    text(y + 13, `${figure}; the broker alone: ${short(floor)}`, 'x="16" font-size="11" opacity="0.8"'),
    ...dots.map(({ system, ratio }) => `<circle cx="${x(ratio)}" cy="${y}" r="6" fill="${SYSTEMS[system]}"/>`),
    ...dots.map(({ ratio, value }, n) => {
      const isNear = (other) => other && Math.abs(x(other.ratio) - x(ratio)) < LABEL;
      // Of two that are close, the left one's figure ends where it is, and the right one's begins there.
      const side = Number(Boolean(isNear(dots[n - 1]))) - Number(Boolean(isNear(dots[n + 1])));
      const anchor = ['end', 'middle', 'start'][side + 1];
      return text(y + 19, short(value), `x="${x(ratio) + 2 * side}" font-size="10" text-anchor="${anchor}"`);
    }),
  ].join('');
}

const short = (value) => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(2));
