// A logarithmic axis from left to right, for charts of ratios.

/**
 * An axis on which all ratios have their place, and at least those from `least` to `most`: `x` gives the place of one, `grid` a
 * line at each power of ten, from `top`, where its label stands, to `bottom`.
 */
export function logAxis(ratios, { least, most, left, right }) {
  const low = Math.floor(Math.log10(Math.min(least, ...ratios)));
  const high = Math.ceil(Math.log10(Math.max(most, ...ratios)));
  const x = (ratio) => left + ((Math.log10(ratio) - low) / (high - low)) * (right - left);
  const powers = Array.from({ length: high - low + 1 }, (_, n) => 10 ** (low + n));
  const line = (ratio, top, bottom) =>
    `<line x1="${x(ratio)}" y1="${top}" x2="${x(ratio)}" y2="${bottom}" stroke="#8888" stroke-width="${ratio === 1 ? 2 : 0.5}"/>` +
    `<text x="${x(ratio)}" y="${top - 6}" text-anchor="middle" font-size="12" fill="#777">${label(ratio)}</text>`;
  return { x, grid: (top, bottom) => powers.map((ratio) => line(ratio, top, bottom)) };
}

const label = (ratio) => (ratio >= 1 ? `${ratio.toLocaleString('en')}×` : `1/${Math.round(1 / ratio)}`);
