import { type Figure, passed, shown } from './test-figures.js';

/** What a report is made of. */
export interface TestReport {
  broker: string;
  /** ISO 8601. */
  time: string;
  durationMs: number;
  figures: Figure[];
  /** Every measured latency of an edit, in milliseconds. */
  latencyMs: number[];
}

const WIDTH = 720;
const HEIGHT = 240;
const MARGIN = { left: 48, right: 16, top: 16, bottom: 40 };
const BARS = 40;

/** A page that stands for itself: figures as a table, the latency as a picture. */
export function html(report: TestReport): string {
  const { broker, time, durationMs, figures, latencyMs } = report;
  const rows = figures.map(({ name, value, unit, must, limit, ok, samples }) => {
    const mark = value === null ? '–' : ok ? '✓' : '✗';
    const verdict = value === null ? 'none' : ok ? 'good' : 'bad';
    const cells = [name, shown(value, unit), `${must} ${limit} ${unit}`.replace(' /s', '/s'), String(samples)];
    return `<tr class="${verdict}"><td>${mark}</td>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>mqtt-p2p test: ${passed(figures) ? 'passed' : 'missed'}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; background: #fff }
table { border-collapse: collapse; width: 100% }
td, th { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #d8dee4 }
td:nth-child(-n+2), th:nth-child(-n+2) { text-align: left }
.good td:first-child { color: #1a7f37 } .bad td { color: #cf222e } .none td { color: #656d76 }
svg { width: 100%; height: auto }
</style>
</head>
<body>
<h1>mqtt-p2p test: ${passed(figures) ? 'passed' : 'missed'}</h1>
<p>${escaped(broker)}, ${escaped(time)}, ${(durationMs / 1000).toFixed(0)} s</p>
<table>
<tr><th></th><th>figure</th><th>measured</th><th>limit</th><th>samples</th></tr>
${rows.join('\n')}
</table>
<h2>Message latency</h2>
${latencyMs.length > 0 ? histogram(latencyMs) : '<p>Nothing was measured.</p>'}
</body>
</html>
`;
}

/** A histogram as SVG. Its scale is logarithmic, for a few slow messages are what one looks for. */
export function histogram(values: number[]): string {
  const least = Math.max(0.01, Math.min(...values));
  const most = Math.max(least * 1.01, ...values);
  const log = (value: number) => Math.log(Math.max(value, least) / least) / Math.log(most / least);
  const counts = new Array<number>(BARS).fill(0);
  for (const value of values) {
    const bar = Math.min(BARS - 1, Math.floor(log(value) * BARS));
    counts[bar] = (counts[bar] ?? 0) + 1;
  }
  const highest = Math.max(...counts);
  const [across, down] = [WIDTH - MARGIN.left - MARGIN.right, HEIGHT - MARGIN.top - MARGIN.bottom];
  const column = across / BARS;
  const x = (share: number) => MARGIN.left + share * across;
  const bars = counts.map((count, index) => {
    const height = highest > 0 ? (count / highest) * down : 0;
    const place = `x="${x(index / BARS).toFixed(1)}" y="${(MARGIN.top + down - height).toFixed(1)}"`;
    return count === 0
      ? ''
      : `<rect ${place} width="${(column - 1).toFixed(1)}" height="${height.toFixed(1)}"><title>${count}</title></rect>`;
  });
  const ticks = scale(least, most).map((value) => {
    const at = x(log(value)).toFixed(1);
    const text = `<text x="${at}" y="${HEIGHT - MARGIN.bottom + 18}" text-anchor="middle">${value}</text>`;
    return `<line x1="${at}" x2="${at}" y1="${MARGIN.top + down}" y2="${MARGIN.top + down + 4}"/>${text}`;
  });
  const axis = MARGIN.top + down;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Histogram of ${values.length} latencies">
<style>rect { fill: #0969da } line { stroke: #656d76 } text { font: 12px system-ui, sans-serif; fill: #656d76 }</style>
${bars.filter(Boolean).join('\n')}
<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${axis}" y2="${axis}"/>
${ticks.join('\n')}
<text x="${MARGIN.left - 8}" y="${MARGIN.top + 10}" text-anchor="end">${highest}</text>
<text x="${WIDTH - MARGIN.right}" y="${HEIGHT - 4}" text-anchor="end">milliseconds, ${values.length} messages</text>
</svg>`;
}

/** Round values between two others: 1, 2, 5, 10, … */
function scale(least: number, most: number): number[] {
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); power++) {
    for (const digit of [1, 2, 5]) {
      const value = Number((digit * 10 ** power).toPrecision(1));
      if (value >= least && value <= most) ticks.push(value);
    }
  }
  return ticks;
}

function escaped(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replace(/[&<>"]/g, (character) => entities[character] ?? '');
}
