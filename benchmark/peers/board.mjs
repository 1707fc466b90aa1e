// Canvases to measure with: the same for every system.

/** A board of so many nodes in rows, with texts of a few words, and edges from each node to the next. */
export function board(nodes, edges = 0) {
  return {
    nodes: Array.from({ length: nodes }, (_, n) => ({
      id: `node-${n}`,
      type: 'text',
      text: `Card ${n}: what is to be done, and by whom`,
      x: (n % 20) * 300,
      y: Math.floor(n / 20) * 200,
      width: 260,
      height: 120,
      color: String((n % 6) + 1),
    })),
    edges: Array.from({ length: edges }, (_, n) => ({
      id: `edge-${n}`,
      fromNode: `node-${n % nodes}`,
      fromSide: 'right',
      toNode: `node-${(n + 1) % nodes}`,
      toSide: 'left',
    })),
  };
}

/** Numbers to move a node to begin here, far from where it stands. */
export const FIRST = 1_000_000;
