// Has garbage collected after so much work. Left alone, the runtime lets a small heap become several times as large as
// what is alive in it, and on a machine with much memory that goes on for tens of thousands of requests.

/** A collection takes about ten milliseconds: not felt by so many requests, and by nobody while nothing runs. */
const WORK_QUIET = 128;
const WORK_BUSY = 512;

export class HeapSweeper {
  readonly #collect: () => void;
  #work = 0;

  constructor(collect: () => void = () => Bun.gc(true)) {
    this.#collect = collect;
  }

  /** Something ended and left its garbage. */
  note(): void {
    this.#work++;
  }

  /** To be called now and then; `isQuiet`: nobody would notice a pause. */
  sweep(isQuiet: boolean): void {
    if (this.#work < (isQuiet ? WORK_QUIET : WORK_BUSY)) return;
    this.#work = 0;
    this.#collect();
  }
}
