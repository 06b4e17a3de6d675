// The fake backend's choice of a token: a hash of what the row sees, the same for the same settings.

import type { Sampler } from "../../src/engine/backend.ts";
import type { SamplingParams } from "../../src/protocol/generation.ts";
import type { Counted } from "./fake-state.ts";
import { END, READABLE_TOKENS } from "./fake-vocabulary.ts";

/** One sampled token in this many ends the answer. */
const END_ODDS = 24;

export class FakeSampler implements Sampler {
  readonly kind = "sampler";
  readonly params: SamplingParams;
  readonly #counted: Counted;
  /** Grows with every pick: a pick that is lost or made twice changes what follows. */
  #picks = 0;

  constructor(params: SamplingParams, counted: Counted) {
    this.params = params;
    this.#counted = counted;
  }

  pick(seen: number): number {
    this.#counted.assertAlive();
    const isGreedy = this.params.temperature === 0;
    const hash = isGreedy ? seen : mix(mix(seen, this.params.seed ?? 0), this.#picks++);
    if (this.params.ignoreEos !== true && hash % END_ODDS === 0) return END;
    return pickGreedily(hash);
  }

  [Symbol.dispose](): void {
    this.#counted.dispose();
  }
}

/** What a greedy sampler that does not end takes. */
export function pickGreedily(hash: number): number {
  return READABLE_TOKENS[mix(hash, 77) % READABLE_TOKENS.length] ?? END;
}

/** A small hash of two numbers, 32 bits. */
export function mix(hash: number, value: number): number {
  let mixed = Math.imul(hash ^ (value + 0x7f4a7c15), 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
