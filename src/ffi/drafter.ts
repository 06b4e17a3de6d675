// A smaller model's context that guesses for sequences of a larger one: a slot is shown tokens, then guesses go on from
// there. It owns no model and no context; whoever makes it keeps both for as long.

import type { Pointer } from "bun:ffi";
import type { NativeContext } from "./context.ts";
import { guessSlots, type SlotLimit } from "./guess.ts";
import { Handle } from "./handle.ts";
import type { NativeLibrary } from "./library.ts";
import type { NativeModel } from "./model.ts";

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
    return guessSlots(this.#library, "mlo_drafter_guess", this.pointer, slots);
  }
}
