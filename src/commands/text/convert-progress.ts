// The progress of a conversion as lines: one that is written over in a terminal, one per tenth elsewhere.

interface Screen {
  write(text: string): unknown;
  isTTY?: boolean;
}

const LABELS = { write: "1/2 converting  ", quantize: "2/2 quantising  " };

/** A terminal's line changes ten times a second at most. */
const LINE_MS_MIN = 100;

export class ConvertProgress {
  readonly #screen: Screen;
  readonly #now: () => number;
  #startMs: number;
  #lastMs = Number.NEGATIVE_INFINITY;
  #lastTenth = 0;
  #isOpen = false;
  #phase: "write" | "quantize" | null = null;

  constructor(screen: Screen, now: () => number) {
    this.#screen = screen;
    this.#now = now;
    this.#startMs = now();
  }

  /** `phase`: where there are two, which count one after the other. */
  show(doneBytes: number, totalBytes: number, phase: "write" | "quantize" | null = null): void {
    if (phase !== this.#phase) this.#begin(phase);
    const share = totalBytes === 0 ? 1 : doneBytes / totalBytes;
    if (this.#screen.isTTY === true) this.#showLine(share, doneBytes, totalBytes);
    else this.#showTenth(share, doneBytes, totalBytes);
  }

  /** Ends the line that is written over. */
  end(): void {
    if (this.#isOpen) this.#screen.write("\n");
    this.#isOpen = false;
  }

  #begin(phase: "write" | "quantize" | null): void {
    this.end();
    // The first one began with all of it.
    if (this.#phase !== null) this.#startMs = this.#now();
    this.#phase = phase;
    this.#lastMs = Number.NEGATIVE_INFINITY;
    this.#lastTenth = 0;
  }

  #showLine(share: number, doneBytes: number, totalBytes: number): void {
    if (share < 1 && this.#now() - this.#lastMs < LINE_MS_MIN) return;
    this.#lastMs = this.#now();
    this.#isOpen = true;
    // Clears what a longer line has left.
    this.#screen.write(`\r${this.#describe(share, doneBytes, totalBytes)}\x1b[K`);
  }

  #showTenth(share: number, doneBytes: number, totalBytes: number): void {
    const tenth = Math.floor(share * 10);
    if (tenth <= this.#lastTenth) return;
    this.#lastTenth = tenth;
    this.#screen.write(`${this.#describe(share, doneBytes, totalBytes)}\n`);
  }

  #describe(share: number, doneBytes: number, totalBytes: number): string {
    const seconds = (this.#now() - this.#startMs) / 1000;
    const rate = seconds > 0 ? `, ${Math.round(doneBytes / 1e6 / seconds)} MB/s` : "";
    const percent = String(Math.floor(share * 100)).padStart(3);
    return `${this.#phase === null ? "" : LABELS[this.#phase]}${percent}%  ${describeBytes(doneBytes)} of ${describeBytes(totalBytes)}${rate}`;
  }
}

/** Decimal units, as disks are sold in. */
export function describeBytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
