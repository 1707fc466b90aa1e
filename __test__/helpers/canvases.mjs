import { readFileSync } from 'node:fs';

/** A real canvas of `examples/`, fresh each time. */
export function example(name) {
  return JSON.parse(readFileSync(new URL(`../../examples/${name}.canvas`, import.meta.url), 'utf8'));
}

/** The one with 187 nodes and 192 edges. */
export const roadmap = () => example('stardust-roadmap');

/** A canvas of two connected cards. */
export function smallCanvas() {
  return {
    nodes: [
      { id: 'a', type: 'text', x: 0, y: 0, width: 200, height: 60, text: 'first' },
      { id: 'b', type: 'text', x: 300, y: 0, width: 200, height: 60, text: 'second' },
    ],
    edges: [{ id: 'a-b', fromNode: 'a', toNode: 'b' }],
  };
}

/** The node of an id, or undefined. */
export const nodeOf = (canvas, id) => canvas.nodes.find((node) => node.id === id);
