// Finds stop strings in streamed text, and holds back what may still become one.

export interface StopMatch {
  /** Text that is certain to come before any stop string. */
  text: string;
  /** The stop string that was found; what follows it is dropped. */
  stop: string | null;
}

export class StopMatcher {
  readonly #stops: readonly string[];
  #held = "";

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
  }

  push(text: string): StopMatch {
    if (this.#stops.length === 0) return { text, stop: null };
    const all = this.#held + text;
    const found = this.#firstStop(all);
    if (found !== null) {
      this.#held = "";
      return { text: all.slice(0, found.at), stop: found.stop };
    }
    const keep = this.#possibleStart(all);
    this.#held = all.slice(all.length - keep);
    return { text: all.slice(0, all.length - keep), stop: null };
  }

  /** What was held back, now that nothing follows. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }

  /**
   * The stop string that is complete first; of two that end together, the longer. Not the one that begins first: then
   * the answer would hang on how the text was cut, since a longer stop string may or may not have arrived whole.
   */
  #firstStop(text: string): { at: number; stop: string } | null {
    let first: { at: number; stop: string } | null = null;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      if (at < 0) continue;
      const later = first === null ? 0 : at + stop.length - (first.at + first.stop.length);
      if (first === null || later < 0 || (later === 0 && at < first.at)) first = { at, stop };
    }
    return first;
  }

  /** Length of the longest end of the text that begins a stop string. */
  #possibleStart(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
