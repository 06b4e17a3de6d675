// A smaller model's context that guesses for sequences of a larger one: a slot is shown tokens, then guesses go on from
// there. It owns no model and no context; whoever makes it keeps both for as long.

import type { Pointer } from "bun:ffi";
import type { NativeContext } from "./context.ts";
import { Handle } from "./handle.ts";
import type { NativeLibrary } from "./library.ts";
import type { NativeModel } from "./model.ts";

export interface SlotLimit {
  slot: number;
  /** Most tokens to guess. */
  limit: number;
}

export class NativeDrafter extends Handle {
  readonly #library: NativeLibrary;

  private constructor(library: NativeLibrary, pointer: Pointer) {
    super("drafter", pointer, (drafter) => library.calls.mlo_drafter_free(drafter));
    this.#library = library;
  }

  /** context: the smaller model's; its seq-ids are the slots. Throws NativeError when the vocabularies differ. */
  static make(target: NativeModel, context: NativeContext, probabilityMin: number): NativeDrafter {
    const { library } = target;
    const made = library.calls.mlo_drafter_new(target.pointer, context.pointer, probabilityMin);
    return new NativeDrafter(library, library.own("mlo_drafter_new", made));
  }

  /** Reads at most `rows` of a sequence's tokens. Returns how many are left to run, its last one included. */
  show(slot: number, tokens: Int32Array, rows: number): number {
    const left = this.#library.calls.mlo_drafter_show(this.pointer, slot, tokens, tokens.length, rows);
    return this.#library.check("mlo_drafter_show", left);
  }

  /** What follows the tokens that these slots were shown last, each once. */
  guess(slots: readonly SlotLimit[]): Int32Array[] {
    const stride = Math.max(1, ...slots.map(({ limit }) => limit));
    const guesses = new Int32Array(slots.length * stride);
    const counts = new Int32Array(slots.length);
    const status = this.#library.calls.mlo_drafter_guess(
      this.pointer,
      slots.length,
      Int32Array.from(slots, ({ slot }) => slot),
      Int32Array.from(slots, ({ limit }) => limit),
      stride,
      guesses,
      counts,
    );
    this.#library.check("mlo_drafter_guess", status);
    return slots.map((_, i) => guesses.subarray(i * stride, i * stride + (counts[i] ?? 0)));
  }
}
