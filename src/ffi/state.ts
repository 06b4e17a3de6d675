// A copy of what a sequence holds in the caches, in memory or on its way to or from a file.

import type { Pointer } from "bun:ffi";
import { Handle } from "./handle.ts";
import { NativeJob } from "./job.ts";
import { type NativeLibrary, toCText } from "./library.ts";

/** `all`; `attention`: cells that stay; `rest`: a window's cells and recurrent state, right at the sequence's end only. */
export type StatePart = "all" | "attention" | "rest";

export const STATE_PARTS: Record<StatePart, number> = { all: 0, attention: 1, rest: 2 };

export class NativeState extends Handle {
  readonly #library: NativeLibrary;

  private constructor(library: NativeLibrary, pointer: Pointer) {
    super("state", pointer, (state) => library.calls.mlo_state_free(state));
    this.#library = library;
  }

  static copy(library: NativeLibrary, context: Pointer, sequence: number, part: StatePart): NativeState {
    const made = library.calls.mlo_state_copy(context, sequence, STATE_PARTS[part]);
    return new NativeState(library, library.own("mlo_state_copy", made));
  }

  /** A job that reads a file; it fails when the file is not whole. */
  static read(library: NativeLibrary, path: string): NativeJob<NativeState> {
    const call = "mlo_state_read_start";
    const job = library.own(call, library.calls.mlo_state_read_start(toCText(path)));
    return new NativeJob(library, call, job, (pointer) => {
      const taken = library.own("mlo_state_take", library.calls.mlo_state_take(pointer));
      return new NativeState(library, taken);
    });
  }

  /** A job that writes a file, whole or not at all. The state may be disposed of before it ends. `awaited`: at full speed. */
  write(path: string, text: string, awaited: boolean): NativeJob<null> {
    const call = "mlo_state_write_start";
    const job = this.#library.calls.mlo_state_write_start(this.pointer, toCText(path), toCText(text), Number(awaited));
    return new NativeJob(this.#library, call, this.#library.own(call, job), () => null);
  }

  get bytes(): number {
    return Number(this.#library.calls.mlo_state_bytes(this.pointer));
  }

  /** The text that the file was written with. */
  get text(): string {
    return String(this.#library.calls.mlo_state_text(this.pointer));
  }
}
