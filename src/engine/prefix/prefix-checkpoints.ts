// Checkpoints as the prefix cache has them: where a sequence's reading stops for one, taking it there, and dropping those
// that nobody could go on from any more. Which one a prompt starts from is prefix-donors.ts' business.

import type { Backend } from "../backend.ts";
import type { AdapterSet } from "../schedule/adapter-sets.ts";
import type { Sequence } from "../sequence.ts";
import type { Checkpoint, Checkpoints } from "./checkpoints.ts";
import type { Kept } from "./kept-sequences.ts";
import type { CacheParts } from "./prefix-donors.ts";
import type { PrefixMatch } from "./prefix-index.ts";
import { chooseStops } from "./reading-stops.ts";

export class PrefixCheckpoints {
  readonly #parts: CacheParts;
  readonly #backend: Backend;
  readonly #all: Checkpoints;

  constructor(parts: CacheParts) {
    this.#parts = parts;
    this.#backend = parts.backend;
    this.#all = parts.checkpoints;
  }

  /** sharedLength: leading tokens with which another prompt begins too. */
  chooseStops(sequence: Sequence, sharedLength: number): void {
    sequence.dropStops();
    // What may not be kept leaves nothing behind.
    if (!this.#backend.checkpoints || !sequence.keeps || this.#parts.limits.retained === 0) return;
    const { promptLength, computed, preambleLength, turns } = sequence;
    sequence.addStops(chooseStops({ promptLength, computed, preambleLength, turns, sharedLength }));
  }

  /**
   * Of those that have just come to a place where that is wanted. Beside streams only of the first of them, since each
   * copy makes their gap longer: the others' places are passed.
   */
  take(active: readonly Sequence[]): void {
    const disturbs = active.some(({ completionTokens }) => completionTokens > 0);
    let taken = 0;
    for (const sequence of active) {
      if (sequence.seqId === null || !sequence.stopsAt(sequence.computed)) continue;
      const { computed, preambleLength, session, set } = sequence;
      sequence.dropStops(computed);
      const tokens = sequence.tokens.slice(0, computed);
      if ((disturbs && taken > 0) || this.#all.has(set, tokens)) continue;
      taken++;
      this.#all.add(
        { tokens, set, session, isPreamble: computed <= preambleLength },
        this.#backend.copyRest(sequence.seqId),
      );
    }
  }

  /** A sequence that is still read from disk may have cells without the recurrent state that belongs to them. */
  isWhole(seqId: number, length: number): boolean {
    return !this.#backend.checkpoints || this.#backend.covers(seqId, length);
  }

  /** The deepest one of a kept sequence, up to there, to which it can go back; null: none. */
  deepest({ set, tokens }: Kept, length: number): Checkpoint | null {
    // A recurrent state frees nothing by going back, and its checkpoints stay without it.
    if (this.#backend.info.memory !== "hybrid") return null;
    return this.#all.along(set, tokens.subarray(0, length)).at(-1) ?? null;
  }

  /** A sequence of the set with these tokens holds nothing any more: what needs its cells of attention is of no use. */
  dropUnheld(set: AdapterSet, tokens: Int32Array): void {
    if (this.#backend.info.memory !== "hybrid") return;
    for (const one of this.#all.along(set, tokens)) if (!this.#isHeld(one)) this.#all.remove(one);
  }

  #isHeld({ set, tokens }: Checkpoint): boolean {
    const { index, ledger } = this.#parts;
    const holds = ({ key, length }: PrefixMatch): boolean => Math.min(length, ledger.length(key)) >= tokens.length;
    return index.matches(set.key, tokens).some(holds);
  }
}
