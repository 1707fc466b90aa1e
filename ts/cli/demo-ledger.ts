import type { CanvasChanges } from '../index.js';
import type { Edit } from './demo-protocol.js';
import type { Author } from './demo-script.js';

interface Entry {
  number: number;
  author: Author;
  edit: Edit;
  /** What it edits. */
  id: string;
  editedAt?: number;
  seenAt?: number;
}

/** Notes when each edit was made in one process and when the other one saw it. */
export class Ledger {
  readonly #entries: Entry[] = [];

  /** Enters an edit that is about to be made; gives its number. */
  add(author: Author, edit: Edit): number {
    const number = this.#entries.length;
    this.#entries.push({ number, author, edit, id: targetOf(edit) });
    return number;
  }

  edited(number: number, at: number): void {
    const entry = this.#entries[number];
    if (entry) entry.editedAt = at;
  }

  /** Some of the author's edits have reached the other process. Several may arrive as one. */
  saw(author: Author, at: number, changes: CanvasChanges): void {
    const open = this.#entries.filter((entry) => entry.author === author && entry.seenAt === undefined);
    for (const entry of open) {
      if (!shows(changes, entry)) continue;
      entry.seenAt = at;
      for (const earlier of open) {
        if (earlier.number < entry.number && earlier.id === entry.id) earlier.seenAt ??= at;
      }
    }
  }

  /** From edit to sight, in milliseconds, ascending; of the given edits, or of all by an author. */
  latencies(of: number[] | Author): number[] {
    const entries =
      typeof of === 'string'
        ? this.#entries.filter(({ author }) => author === of)
        : this.#entries.filter(({ number }) => of.includes(number));
    return entries
      .flatMap(({ editedAt, seenAt }) => (editedAt === undefined || seenAt === undefined ? [] : [seenAt - editedAt]))
      .sort((a, b) => a - b);
  }

  /** How many edits an author made. */
  count(author: Author): number {
    return this.#entries.filter((entry) => entry.author === author).length;
  }
}

function targetOf(edit: Edit): string {
  if ('write' in edit) return edit.write.id;
  const { nodes, edges } = edit.patch;
  return (nodes?.upsert ?? edges?.upsert)?.[0]?.id ?? '';
}

function shows({ nodes, edges }: CanvasChanges, { edit, id }: Entry): boolean {
  if ([...(nodes?.added ?? []), ...(edges?.added ?? [])].some((element) => element.id === id)) return true;
  const set = nodes?.updated?.find((update) => update.id === id)?.set;
  if (!set) return false;
  if ('write' in edit) return typeof set.text === 'string' && set.text.includes(edit.write.words.trim());
  const wanted = Object.entries(edit.patch.nodes?.upsert?.[0] ?? {}).filter(([name]) => name !== 'id');
  // A property that did not change is not told.
  return wanted.some(([name]) => name in set) && wanted.every(([name, value]) => !(name in set) || set[name] === value);
}
