// Which set of adapters the next step runs with. A step has one set, so sets take turns. Pure but for its own memory,
// which holds no more than the sets that are active. Within the set everything is as the scheduler has it.

import { assert } from "../../lib/assert.ts";
import { compareRanks, type Runnable } from "./scheduler.ts";

/** A runnable sequence of a set. */
export type OfSet<R extends Runnable> = R & { readonly set: { readonly key: string } };

export interface Turn<R extends Runnable> {
  /** Those of one set that this step may run, at least one. */
  sequences: OfSet<R>[];
  /** Sequences of other sets that decode: they wait for this step as those in it do. */
  decodingElsewhere: number;
}

/**
 * Changing sets makes llama.cpp build its graphs anew: 0.5 ms for 2 layers, 3 ms for 28, which on a quick device is as
 * long as a step. So a set keeps its turn for a time that no reader of another one's stream notices.
 */
const TURN_MS = 20;

export class SetTurns {
  #current: string | null = null;
  #sinceMs = 0;
  /** When each active set had its last turn, counted in turns; a newcomer stands behind those who are there. */
  readonly #lastTurns = new Map<string, number>();
  #turns = 0;

  /**
   * Every set with a stream has its turn; those that only read have theirs in the order of their prompts, the first of
   * all prompts before any other, as they would within one set. `active` must not be empty.
   */
  next<R extends Runnable>(active: readonly OfSet<R>[], nowMs: number): Turn<R> {
    const inOrder = [...active].sort(compareRanks);
    const firstPrompt = inOrder.find(({ missing }) => missing !== 1);
    const decoding = inOrder.filter(({ missing }) => missing === 1);
    const claiming = new Set([...decoding, ...(firstPrompt === undefined ? [] : [firstPrompt])].map(keyOf));
    this.#noteActive(inOrder.map(keyOf));
    const key = this.#choose(claiming, nowMs);
    const isTheirs = (sequence: OfSet<R>): boolean => keyOf(sequence) === key;
    const readsPrompts = firstPrompt !== undefined && isTheirs(firstPrompt);
    return {
      sequences: (readsPrompts ? inOrder : decoding).filter(isTheirs),
      decodingElsewhere: decoding.filter((sequence) => !isTheirs(sequence)).length,
    };
  }

  #noteActive(keys: readonly string[]): void {
    const active = new Set(keys);
    for (const key of this.#lastTurns.keys()) if (!active.has(key)) this.#lastTurns.delete(key);
    for (const key of active) if (!this.#lastTurns.has(key)) this.#lastTurns.set(key, this.#turns);
  }

  #choose(claiming: ReadonlySet<string>, nowMs: number): string {
    const current = this.#current;
    if (current !== null && claiming.has(current) && (claiming.size === 1 || nowMs - this.#sinceMs < TURN_MS)) {
      return current;
    }
    // Those who came during its turn are before it.
    if (current !== null && this.#lastTurns.has(current)) this.#lastTurns.set(current, ++this.#turns);
    let next: string | null = null;
    // In the order in which they became active, and in that of their first sequence where that was at once.
    for (const key of this.#lastTurns.keys()) {
      if (claiming.has(key) && (next === null || this.#lastTurn(key) < this.#lastTurn(next))) next = key;
    }
    assert(next !== null, "a set is active, so one claims a turn");
    this.#current = next;
    this.#sinceMs = nowMs;
    this.#lastTurns.set(next, ++this.#turns);
    return next;
  }

  #lastTurn(key: string): number {
    return this.#lastTurns.get(key) ?? 0;
  }
}

function keyOf({ set }: { set: { readonly key: string } }): string {
  return set.key;
}
