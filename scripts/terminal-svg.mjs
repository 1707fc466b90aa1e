// What a terminal shows, as a picture. Knows the attributes that our commands use.

const CELL = { width: 8.4, height: 18 };
const MARGIN = 16;
const BAR = 28;
const COLOURS = {
  30: '#484f58',
  31: '#ff7b72',
  32: '#3fb950',
  33: '#d29922',
  34: '#58a6ff',
  35: '#bc8cff',
  36: '#39c5cf',
  37: '#b1bac4',
  90: '#6e7681',
};

/** An SVG of text with ANSI colours, as `tmux capture-pane -e` gives it. */
export function svg(text, columns, title) {
  const lines = text.split('\n');
  const width = MARGIN * 2 + columns * CELL.width;
  const height = BAR + MARGIN * 2 + lines.length * CELL.height;
  const style = { bold: false, dim: false, colour: undefined };
  const rows = lines.map((line, row) => {
    const y = BAR + MARGIN + (row + 0.75) * CELL.height;
    return runs(line, style)
      .map(({ text, column, width, ...look }) => span(text, MARGIN + column * CELL.width, y, width * CELL.width, look))
      .join('');
  });
  const dots = ['#ff5f57', '#febc2e', '#28c840'].map(
    (fill, index) => `<circle cx="${16 + index * 18}" cy="14" r="5" fill="${fill}"/>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(title)}">
<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>
${dots.join('')}<text x="${width / 2}" y="18" text-anchor="middle" font-family="system-ui,sans-serif" font-size="12" fill="#8b949e">${escaped(title)}</text>
<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14" fill="#e6edf3" xml:space="preserve">
${rows.filter(Boolean).join('\n')}
</g>
</svg>
`;
}

/** Stretches of a line that look alike; `style` goes on from line to line. */
function runs(line, style) {
  const found = [];
  let column = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what this reads
  for (const part of line.split(/(\u001b\[[0-9;]*m)/)) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: see above
    const codes = /^\u001b\[([0-9;]*)m$/.exec(part)?.[1];
    if (codes !== undefined) {
      for (const code of codes.split(';').map(Number)) apply(style, code);
      continue;
    }
    const width = [...part].length;
    if (part.trim() !== '') found.push({ text: part, column, width, ...style });
    column += width;
  }
  return found;
}

function apply(style, code) {
  if (code === 0) Object.assign(style, { bold: false, dim: false, colour: undefined });
  else if (code === 1) style.bold = true;
  else if (code === 2) style.dim = true;
  else if (code === 22) Object.assign(style, { bold: false, dim: false });
  else if (code === 39) style.colour = undefined;
  else if (COLOURS[code]) style.colour = COLOURS[code];
}

function span(text, x, y, length, { bold, dim, colour }) {
  const look = [
    ...(colour ? [`fill="${colour}"`] : []),
    ...(bold ? ['font-weight="bold"'] : []),
    ...(dim ? ['opacity="0.6"'] : []),
  ];
  // The length keeps columns apart whatever font there is.
  const place = `x="${x.toFixed(1)}" y="${y.toFixed(1)}" textLength="${length.toFixed(1)}" lengthAdjust="spacingAndGlyphs"`;
  return `<text ${[place, ...look].join(' ')}>${escaped(text)}</text>`;
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
