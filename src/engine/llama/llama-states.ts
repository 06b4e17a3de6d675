// Copies of what llama.cpp's caches hold of a sequence, taken out and put back: cells of attention, and the recurrent
// state at a sequence's end. It uses one seq-id that no sequence gets, because llama.cpp restores whole sequences only.
// When a copy is made, and what it is for, is not its business.

import type { NativeContext } from "../../ffi/context.ts";
import type { NativeLibrary } from "../../ffi/library.ts";
import { NativeState } from "../../ffi/state.ts";
import { assert } from "../../lib/assert.ts";
import type { MemoryKind } from "../../protocol/model-info.ts";
import type { SavedState, Task } from "../backend.ts";

class LlamaState implements SavedState {
  constructor(readonly native: NativeState) {}

  get bytes(): number {
    return this.native.bytes;
  }

  get text(): string {
    return this.native.text;
  }

  write(path: string, text: string, awaited: boolean): Task<null> {
    return this.native.write(path, text, awaited);
  }

  [Symbol.dispose](): void {
    this.native[Symbol.dispose]();
  }
}

export class LlamaStates {
  /** See `Backend.checkpoints`. */
  readonly checkpoints: boolean;
  readonly #library: NativeLibrary;
  readonly #context: NativeContext;
  readonly #memory: MemoryKind;
  /** The seq-id that no sequence gets. */
  readonly #scratch: number;

  constructor(library: NativeLibrary, context: NativeContext, memory: MemoryKind, scratch: number) {
    this.#library = library;
    this.#context = context;
    this.#memory = memory;
    this.#scratch = scratch;
    // A hybrid with windows has a third cache, whose cells would have to travel with the recurrent state.
    this.checkpoints = memory === "recurrent" || (memory === "hybrid" && context.cells().length === 2);
  }

  copySlice(seqId: number, start: number, end: number): SavedState {
    return this.#withScratch(() => {
      this.#context.copySequence(seqId, this.#scratch, start, end);
      return this.#copy(this.#scratch, this.#memory === "hybrid" ? "attention" : "all");
    });
  }

  applySlice(state: SavedState, seqId: number, start: number, end: number): void {
    this.#applyCells(state, seqId, start, end, this.#memory === "hybrid" ? "attention" : "all");
  }

  copyRest(seqId: number): SavedState {
    return this.#copy(seqId, "rest");
  }

  applyRest(state: SavedState, seqId: number, length: number): void {
    this.#context.applyState(nativeState(state), seqId, "rest");
    this.#checkEnd(seqId, length);
  }

  /** llama.cpp cuts a hybrid's sequence whole only: what stays goes out and comes back. */
  rewind(seqId: number, length: number, rest: SavedState): void {
    this.#withScratch(() => {
      this.#context.copySequence(seqId, this.#scratch, 0, length);
      assert(this.#context.removeSequence(seqId, 0, -1), `sequence ${seqId} can always be removed whole`);
      this.#context.copySequence(this.#scratch, seqId, 0, length);
    });
    this.applyRest(rest, seqId, length);
  }

  copyEnd(seqId: number, start: number, end: number, rest: SavedState | null): SavedState {
    if (this.#memory === "recurrent") return this.copyRest(seqId);
    return this.#withScratch(() => {
      this.#context.copySequence(seqId, this.#scratch, start, end);
      if (rest !== null) this.#context.applyState(nativeState(rest), this.#scratch, "rest");
      return this.#copy(this.#scratch, "all");
    });
  }

  applyEnd(state: SavedState, seqId: number, start: number, end: number): void {
    if (this.#memory === "hybrid") this.#applyCells(state, seqId, start, end, "all");
    else this.#context.applyState(nativeState(state), seqId, "rest");
    this.#checkEnd(seqId, end);
  }

  read(path: string): Task<SavedState> {
    const job = NativeState.read(this.#library, path);
    return {
      poll: () => job.poll(),
      take: () => new LlamaState(job.take()),
      [Symbol.dispose]: () => job[Symbol.dispose](),
    };
  }

  #copy(seqId: number, part: "all" | "attention" | "rest"): SavedState {
    return new LlamaState(this.#context.copyState(seqId, part));
  }

  /** llama.cpp's restore replaces all that a sequence has: so it goes into one of its own first. */
  #applyCells(state: SavedState, seqId: number, start: number, end: number, part: "all" | "attention"): void {
    const before = this.#attentionCells;
    this.#withScratch(() => {
      this.#context.applyState(nativeState(state), this.#scratch, part);
      this.#context.copySequence(this.#scratch, seqId, start, end);
    });
    if (this.#attentionCells === before + end - start) return;
    // Where a recurrent state has come too, nothing of the sequence can be taken back by itself.
    this.#context.removeSequence(seqId, this.#memory === "hybrid" ? 0 : start, -1);
    throw new Error(`the copy does not hold the cells ${start} to ${end}`);
  }

  #checkEnd(seqId: number, length: number): void {
    if (this.#context.covers(seqId, length)) return;
    this.#context.removeSequence(seqId, 0, -1);
    throw new Error(`the copy is not the state after ${length} tokens`);
  }

  get #attentionCells(): number {
    return this.#context.cells()[0]?.used ?? 0;
  }

  #withScratch<T>(use: () => T): T {
    try {
      return use();
    } finally {
      assert(this.#context.removeSequence(this.#scratch, 0, -1), "the scratch sequence can be removed whole");
    }
  }
}

function nativeState(state: SavedState): NativeState {
  assert(state instanceof LlamaState, "a state goes back to the backend that made it");
  return state.native;
}
