// What the shim's guessers have in common: slots and their limits go in, a row of tokens for each comes out.

import type { Pointer } from "bun:ffi";
import type { NativeLibrary } from "./library.ts";

export interface SlotLimit {
  slot: number;
  /** Most tokens to guess. */
  limit: number;
}

/** What follows in each slot. `name` is a call of the shape that mlo.h gives both guessers. Throws NativeError. */
export function guessSlots(
  library: NativeLibrary,
  name: "mlo_drafter_guess" | "mlo_head_guess",
  guesser: Pointer,
  slots: readonly SlotLimit[],
): Int32Array[] {
  const stride = Math.max(1, ...slots.map(({ limit }) => limit));
  const guesses = new Int32Array(slots.length * stride);
  const counts = new Int32Array(slots.length);
  const status = library.calls[name](
    guesser,
    slots.length,
    Int32Array.from(slots, ({ slot }) => slot),
    Int32Array.from(slots, ({ limit }) => limit),
    stride,
    guesses,
    counts,
  );
  library.check(name, status);
  return slots.map((_, i) => guesses.subarray(i * stride, i * stride + (counts[i] ?? 0)));
}
