// Finds what a waiting sequence could start from: sequences that run or are kept, and checkpoints. It says what each can
// hand over by the kind of memory; which one is taken, and the taking, is not its business.

import type { Backend } from "../backend.ts";
import type { Limits } from "../schedule/limits.ts";
import type { Sequence } from "../sequence.ts";
import type { Checkpoint, Checkpoints } from "./checkpoints.ts";
import type { KeptSequences } from "./kept-sequences.ts";
import type { KvLedger } from "./kv-ledger.ts";
import type { Donor } from "./prefix-choice.ts";
import type { PrefixForest } from "./prefix-forest.ts";
import type { PrefixMatch } from "./prefix-index.ts";
import { STOP_TOKENS_MIN } from "./reading-stops.ts";

export interface Source extends Donor {
  /** The recurrent state that goes with the tokens; null: the donor's own. */
  checkpoint: Checkpoint | null;
}

export interface Sources {
  donors: Source[];
  /** The kept sequence that is nearest to the prompt. */
  nearest: PrefixMatch | null;
  /** Leading tokens that anybody here shares with it. */
  sharedLength: number;
}

export interface CacheParts {
  backend: Backend;
  index: PrefixForest;
  ledger: KvLedger;
  live: ReadonlyMap<number, Sequence>;
  kept: KeptSequences;
  checkpoints: Checkpoints;
  limits: Limits;
}

export class DonorFinder {
  readonly #parts: CacheParts;

  constructor(parts: CacheParts) {
    this.#parts = parts;
  }

  find(sequence: Sequence): Sources {
    const { backend, index, kept, checkpoints } = this.#parts;
    if (!sequence.reuses || backend.info.memory === "other") return { donors: [], nearest: null, sharedLength: 0 };
    const { set, tokens } = sequence;
    const matches = index.matches(set.key, tokens);
    let nearest: PrefixMatch | null = null;
    let sharedLength = checkpoints.sharedLength(set, tokens);
    for (const match of matches) {
      sharedLength = Math.max(sharedLength, match.length);
      if (kept.find(match.key) !== null && match.length > (nearest?.length ?? 0)) nearest = match;
    }
    // The last token is always computed: its row gives the first token of the answer.
    const along = backend.checkpoints ? checkpoints.along(set, tokens.subarray(0, tokens.length - 1)) : [];
    const donors = matches.map((match) => this.#toSource(match, sequence, along));
    const deepest = backend.info.memory === "recurrent" ? along.at(-1) : undefined;
    if (deepest !== undefined) donors.push(toSource(null, deepest.tokens.length, deepest));
    return { donors, nearest, sharedLength };
  }

  #toSource({ key, length }: PrefixMatch, sequence: Sequence, along: readonly Checkpoint[]): Source {
    const { backend, ledger } = this.#parts;
    const live = this.#parts.live.get(key);
    const wanted = Math.min(length, sequence.length - 1);
    const held = ledger.length(key);
    const usable = this.#usable(key, Math.min(wanted, held), held);
    const there = toSource(key, usable, null, live !== undefined);
    if (backend.info.memory === "hybrid" && usable === 0) {
      // Cells of attention are the donor's, at any length; the state that belongs to them is the checkpoint's.
      const deepest = along.findLast(({ tokens }) => tokens.length <= Math.min(wanted, held));
      if (deepest !== undefined) {
        there.usable = there.promised = deepest.tokens.length;
        there.checkpoint = deepest;
      }
    }
    // Only who has not come that far yet, and reads on, is worth waiting for: what it has lost does not come back.
    if (live !== undefined && !live.paused && held < wanted) {
      there.promised = Math.max(there.usable, this.#promise(live, Math.min(wanted, live.promptLength), held));
    }
    return there;
  }

  /** How much a sequence that reads will be able to hand over. */
  #promise(live: Sequence, wanted: number, held: number): number {
    const { backend, limits } = this.#parts;
    const { memory } = backend.info;
    if (memory === "plain" || memory === "sliding") return wanted;
    // It has passed that place, or leaves no checkpoints.
    if (held >= wanted || !backend.checkpoints || !live.keeps || limits.retained === 0) return 0;
    // Until it is there, nothing can be taken over: what was promised once must hold to the end.
    const willStop = live.stopsAt(wanted) || (wanted - held >= STOP_TOKENS_MIN && live.canStopOnceMore);
    return willStop ? wanted : 0;
  }

  /** How much of `wanted` tokens the memory can really hand over: a recurrent state is only that of its end. */
  #usable(seqId: number, wanted: number, held: number): number {
    if (wanted <= 0) return 0;
    const { backend } = this.#parts;
    switch (backend.info.memory) {
      case "plain":
        return wanted;
      case "sliding":
        return backend.covers(seqId, wanted) ? wanted : 0;
      default:
        return wanted === held && backend.covers(seqId, held) ? held : 0;
    }
  }
}

function toSource(seqId: number | null, usable: number, checkpoint: Checkpoint | null, isLive = false): Source {
  return { seqId, usable, promised: usable, isLive, checkpoint };
}
