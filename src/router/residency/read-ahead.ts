// The file of the model that is next is read while it is planned, and while another one's engine ends, so that its load finds
// it in memory. One at a time: it ends when another model is next, or none. How it is read is an effect.

import type { ModelEntry } from "../../models/entry.ts";

export class ReadingAhead {
  readonly #read: (entry: ModelEntry, signal: AbortSignal) => Promise<void>;
  #current: { path: string; stop: AbortController } | null = null;

  constructor(read: (entry: ModelEntry, signal: AbortSignal) => Promise<void>) {
    this.#read = read;
  }

  /** Null: nobody is next. */
  follow(entry: ModelEntry | null): void {
    if (this.#current?.path === entry?.path) return;
    this.stop();
    if (entry === null) return;
    const stop = new AbortController();
    this.#current = { path: entry.path, stop };
    this.#read(entry, stop.signal).catch(() => {
      // The load reads it in any case, and tells what is wrong with it.
    });
  }

  stop(): void {
    this.#current?.stop.abort();
    this.#current = null;
  }
}
