import type { CanvasNode, CanvasPatch, MQTTIntegrationService } from '../index.js';
import { board } from './client-board.js';
import { colour, print, printJson, shortPeer, TICK, table } from './output.js';
import { count, visible } from './text.js';

/** Where a session begins, and as whom. */
export interface Beginning {
  repository: string;
  canvas: string;
  author: string;
  json: boolean;
}

/** A command of a session was given wrongly. */
export class SessionError extends Error {}

interface Verb {
  /** How it is written, after its name. */
  usage: string;
  what: string;
  /** How many words it needs at least. */
  least: number;
  run(words: string[]): Promise<unknown>;
}

/** Size and distance of new nodes, in pixels. */
const NODE = { width: 220, height: 100, gap: 80, columns: 4 };
const DEFAULT_COLUMNS = 100;

/** A person's, or a script's, work on the canvases of one repository. */
export class Session {
  watching = true;
  readonly #service: MQTTIntegrationService;
  readonly #repository: string;
  readonly #author: string;
  readonly #json: boolean;
  #canvas: string;

  constructor(service: MQTTIntegrationService, { repository, canvas, author, json }: Beginning) {
    this.#service = service;
    this.#repository = repository;
    this.#canvas = canvas;
    this.#author = author;
    this.#json = json;
  }

  /** Where it is. */
  place(): string {
    return `${visible(this.#repository)}/${colour.bold(visible(this.#canvas))}`;
  }

  /** Carries out one line; false when it says that this was all. Rejects with what is wrong. */
  async run(line: string): Promise<boolean> {
    const [name, ...words] = split(line);
    if (name === undefined || name.startsWith('#')) return true;
    if (name === 'quit' || name === 'exit') return false;
    const verb = this.#verbs[name];
    if (!verb) throw new SessionError(`there is no "${visible(name)}"; "help" lists what there is`);
    if (words.length < verb.least) throw new SessionError(`it is: ${name} ${verb.usage}`);
    const result = await verb.run(words);
    if (this.#json)
      printJson({ command: name, repository: this.#repository, canvasId: this.#canvas, result: result ?? null });
    return true;
  }

  /** For readline: what the beginning of a line may become. */
  complete(line: string): [string[], string] {
    const names = [...Object.keys(this.#verbs), 'quit'].filter((name) => name.startsWith(line));
    return [names.map((name) => `${name} `), line];
  }

  readonly #verbs: Record<string, Verb> = {
    help: { usage: '', what: 'this list', least: 0, run: async () => this.#help() },
    canvases: { usage: '', what: 'the canvases of the repository', least: 0, run: () => this.#list() },
    use: { usage: '<canvas>', what: 'go on with another canvas', least: 1, run: ([id]) => this.#use(id ?? '') },
    create: { usage: '[canvas]', what: 'make a canvas, and go on with it', least: 0, run: ([id]) => this.#create(id) },
    show: { usage: '[canvas]', what: 'draw the canvas', least: 0, run: ([id]) => this.#show(id) },
    add: { usage: '<id> <text…>', what: 'add a node', least: 2, run: ([id, ...text]) => this.#add(id ?? '', text) },
    text: {
      usage: '<id> <text…>',
      what: 'change the text of a node',
      least: 2,
      run: ([id, ...text]) => this.#patch({ nodes: { upsert: [{ id: id ?? '', text: text.join(' ') }] } }),
    },
    move: { usage: '<id> <x> <y>', what: 'move a node', least: 3, run: ([id, x, y]) => this.#move(id ?? '', x, y) },
    link: {
      usage: '<from> <to>',
      what: 'draw an edge',
      least: 2,
      run: ([from, to]) => this.#link(from ?? '', to ?? ''),
    },
    remove: { usage: '<id>', what: 'remove a node or an edge', least: 1, run: ([id]) => this.#remove(id ?? '') },
    delete: {
      usage: '<canvas>',
      what: 'delete a canvas for everyone',
      least: 1,
      run: ([id]) => this.#delete(id ?? ''),
    },
    share: {
      usage: '<repository>',
      what: 'share the canvas into another repository',
      least: 1,
      run: ([to]) => this.#share(to ?? ''),
    },
    unshare: {
      usage: '',
      what: 'share the canvas with no other repository any more',
      least: 0,
      run: () => this.#unshare(),
    },
    sync: { usage: '', what: 'ask the others for what is missing', least: 0, run: () => this.#sync() },
    peers: { usage: '', what: 'who is online', least: 0, run: () => this.#peers() },
    say: {
      usage: '<text…>',
      what: 'send a message to the others',
      least: 1,
      run: (words) => this.#say(words.join(' ')),
    },
    watch: { usage: '[on|off]', what: 'tell what others do, or not', least: 0, run: ([state]) => this.#watch(state) },
  };

  #help(): void {
    if (this.#json) return;
    const width = Math.max(...Object.entries(this.#verbs).map(([name, { usage }]) => name.length + usage.length)) + 3;
    for (const [name, { usage, what }] of Object.entries(this.#verbs))
      print(`  ${`${name} ${usage}`.padEnd(width)}${what}`);
    print(`  ${'quit'.padEnd(width)}end the session`);
    print(colour.dim('  A word with spaces goes "in quotes".'));
  }

  async #list() {
    const canvases = await this.#service.listCanvases(this.#repository);
    const rows = canvases.map(({ id, nodes, edges, createdBy }) => [
      visible(id),
      String(nodes),
      String(edges),
      visible(createdBy ?? ''),
    ]);
    this.#tell(rows.length > 0 ? table([['canvas', 'nodes', 'edges', 'by'], ...rows], [3]) : ['there is none yet']);
    return canvases;
  }

  async #use(id: string): Promise<void> {
    this.#canvas = id;
    this.#tell([this.place()]);
  }

  async #create(id = this.#canvas) {
    const version = await this.#service.createCanvas(this.#repository, id, { nodes: [], edges: [] }, this.#author);
    this.#canvas = id;
    this.#done(`${this.place()} is made`);
    return version;
  }

  async #show(id = this.#canvas) {
    const canvas = await this.#service.getCanvas(this.#repository, id);
    this.#tell(board(canvas, process.stdout.columns || DEFAULT_COLUMNS));
    return canvas;
  }

  async #add(id: string, words: string[]) {
    const { nodes } = await this.#service.getCanvas(this.#repository, this.#canvas);
    if (nodes.some((node) => node.id === id))
      throw new SessionError(`there is a node ${visible(id)} already; "text" changes it`);
    const { width, height } = NODE;
    const node = { id, type: 'text', text: words.join(' '), ...freePlace(nodes), width, height };
    return this.#patch({ nodes: { upsert: [node] } });
  }

  async #move(id: string, x: string | undefined, y: string | undefined) {
    const place = { x: Number(x), y: Number(y) };
    if (!Number.isFinite(place.x) || !Number.isFinite(place.y))
      throw new SessionError('x and y are numbers, in pixels');
    return this.#patch({ nodes: { upsert: [{ id, ...place }] } });
  }

  async #link(fromNode: string, toNode: string) {
    await this.#find(fromNode);
    await this.#find(toNode);
    return this.#patch({ edges: { upsert: [{ id: `${fromNode}-${toNode}`, fromNode, toNode }] } });
  }

  async #remove(id: string) {
    const { nodes, edges } = await this.#service.getCanvas(this.#repository, this.#canvas);
    if (nodes.some((node) => node.id === id)) return this.#patch({ nodes: { remove: [id] } });
    if (edges.some((edge) => edge.id === id)) return this.#patch({ edges: { remove: [id] } });
    throw new SessionError(`there is no node and no edge ${visible(id)}`);
  }

  async #delete(id: string): Promise<void> {
    await this.#service.deleteCanvas(this.#repository, id, this.#author);
    this.#done(`${visible(id)} is deleted`);
  }

  async #share(target: string): Promise<void> {
    await this.#service.shareCanvas(this.#repository, this.#canvas, target);
    this.#done(`it is in ${visible(target)} too`);
  }

  async #unshare(): Promise<void> {
    await this.#service.unshareCanvas(this.#repository, this.#canvas);
    this.#done('it is shared no longer');
  }

  async #sync() {
    const report = await this.#service.syncRepository(this.#repository);
    this.#done(`${count(report.changesReceived, 'change')} came${report.answered ? '' : '; nobody answered'}`);
    return report;
  }

  async #peers() {
    const peers = await this.#service.discoverPeers();
    const lines = peers.map(({ id, repository, capabilities }) =>
      `${shortPeer(id)}  ${visible(repository)}  ${colour.dim(visible(capabilities.join(' ')))}`.trimEnd(),
    );
    this.#tell(lines.length > 0 ? lines : ['nobody else is there']);
    return peers;
  }

  async #say(text: string): Promise<void> {
    await this.#service.broadcastMessage({ text, author: this.#author }, { repository: this.#repository });
    this.#done('sent');
  }

  async #watch(state = this.watching ? 'off' : 'on'): Promise<void> {
    this.watching = state !== 'off';
    this.#done(this.watching ? 'what others do is told' : 'what others do is not told');
  }

  /** A typing error must not make a node. */
  async #find(id: string): Promise<CanvasNode> {
    const { nodes } = await this.#service.getCanvas(this.#repository, this.#canvas);
    const node = nodes.find((node) => node.id === id);
    if (!node) throw new SessionError(`there is no node ${visible(id)}; "add" makes one`);
    return node;
  }

  async #patch(patch: CanvasPatch) {
    const changed = patch.nodes?.upsert?.[0];
    if (changed && changed.type === undefined) await this.#find(changed.id);
    const version = await this.#service.patchCanvas(this.#repository, this.#canvas, patch, this.#author);
    this.#done('done');
    return version;
  }

  #tell(lines: string[]): void {
    if (!this.#json) for (const line of lines) print(line);
  }

  #done(line: string): void {
    this.#tell([`${TICK} ${line}`]);
  }
}

/** The words of a line; in quotes, several are one. */
export function split(line: string): string[] {
  const words = line.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+)/g);
  return [...words].map(([, double, single, plain]) => double?.replace(/\\(.)/g, '$1') ?? single ?? plain ?? '');
}

/** Where a new node does not hide another: below all others, or beside the last in that row. */
function freePlace(nodes: CanvasNode[]): { x: number; y: number } {
  const { width, height, gap, columns } = NODE;
  for (let cell = 0; ; cell++) {
    const x = (cell % columns) * (width + gap);
    const y = Math.floor(cell / columns) * (height + gap);
    const hidden = nodes.some((node) => {
      const [nx = 0, ny = 0, nw = width, nh = height] = [node.x, node.y, node.width, node.height];
      return x < nx + nw && nx < x + width && y < ny + nh && ny < y + height;
    });
    if (!hidden) return { x, y };
  }
}
