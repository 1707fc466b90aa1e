const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

/** A terminal's other screen: what was there before comes back when it is left, however the process ends. */
export class Screen {
  readonly #leave = () => process.stdout.write(LEAVE);
  readonly #resized: () => void;

  /** `redraw` is called when the size of the terminal changes. */
  constructor(redraw: () => void) {
    this.#resized = redraw;
    process.stdout.write(ENTER);
    process.on('exit', this.#leave);
    process.stdout.on('resize', this.#resized);
  }

  get columns(): number {
    return process.stdout.columns || DEFAULT_COLUMNS;
  }

  get rows(): number {
    return process.stdout.rows || DEFAULT_ROWS;
  }

  /** Shows these lines and nothing else, in one write, so that nothing flickers. */
  draw(lines: string[]): void {
    process.stdout.write(HOME + lines.map((line) => line + CLEAR_LINE).join('\r\n') + CLEAR_BELOW);
  }

  leave(): void {
    process.stdout.off('resize', this.#resized);
    process.off('exit', this.#leave);
    this.#leave();
  }
}
