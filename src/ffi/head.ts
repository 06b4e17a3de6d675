// A model's own prediction layers (MTP) as a guesser: rows of the model's steps are taken into slots, then guesses go on
// from there. It owns no context; whoever makes it keeps both of them for as long.

import type { Pointer } from "bun:ffi";
import type { NativeContext } from "./context.ts";
import { guessSlots, type SlotLimit } from "./guess.ts";
import { Handle } from "./handle.ts";
import type { NativeLibrary } from "./library.ts";
import type { NativeModel } from "./model.ts";

/** Rows of a sequence in the last batch. */
export interface TakenRows {
  /** Position of the first one. */
  start: number;
  tokens: Int32Array;
  /** How many of them are the sequence's own; those after them are a guess. */
  certain: number;
  /** Batch index of the first one. */
  row: number;
}

export class NativeHead extends Handle {
  readonly #library: NativeLibrary;

  private constructor(library: NativeLibrary, pointer: Pointer) {
    super("head", pointer, (head) => library.calls.mlo_head_free(head));
    this.#library = library;
  }

  /** target: the model's context; context: one of its prediction layers, whose seq-ids are the slots. */
  static make(model: NativeModel, target: NativeContext, context: NativeContext, probabilityMin: number): NativeHead {
    const { library } = model;
    const made = library.calls.mlo_head_new(target.pointer, context.pointer, probabilityMin);
    return new NativeHead(library, library.own("mlo_head_new", made));
  }

  /** Whether the next steps of the model keep the rows that the layers work on. */
  watch(on: boolean): void {
    this.#library.calls.mlo_head_watch(this.pointer, on ? 1 : 0);
  }

  /** Takes rows of a step that was watched. before: the sequence's tokens, at least `start` of them. */
  take(slot: number, before: Int32Array, { start, tokens, certain, row }: TakenRows): void {
    // An array without a byte has no address, and nothing of it is read.
    const known = before.length === 0 ? tokens : before;
    const { calls } = this.#library;
    const status = calls.mlo_head_take(this.pointer, slot, known, start, tokens, tokens.length, certain, row);
    this.#library.check("mlo_head_take", status);
  }

  /** Shows a slot all tokens of a sequence. Returns how many are left to run; null where the row to guess from is missing. */
  show(slot: number, tokens: Int32Array): number | null {
    const left = this.#library.calls.mlo_head_show(this.pointer, slot, tokens, tokens.length);
    return this.#library.check("mlo_head_show", left) || null;
  }

  /** What follows the tokens that these slots were shown last, each once. */
  guess(slots: readonly SlotLimit[]): Int32Array[] {
    return guessSlots(this.#library, "mlo_head_guess", this.pointer, slots);
  }
}
