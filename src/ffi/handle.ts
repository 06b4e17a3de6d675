// Owned native objects: each has one owner, is freed once, and says so when it is used afterwards.

import type { Pointer } from "bun:ffi";

export abstract class Handle implements Disposable {
  #pointer: Pointer | null;
  readonly #kind: string;
  readonly #free: (pointer: Pointer) => void;

  protected constructor(kind: string, pointer: Pointer, free: (pointer: Pointer) => void) {
    this.#kind = kind;
    this.#pointer = pointer;
    this.#free = free;
  }

  /** The native address. Throws after dispose: the memory may already be somebody else's. */
  get pointer(): Pointer {
    if (this.#pointer === null) throw new Error(`native ${this.#kind} used after dispose`);
    return this.#pointer;
  }

  get disposed(): boolean {
    return this.#pointer === null;
  }

  [Symbol.dispose](): void {
    if (this.#pointer === null) return;
    const pointer = this.#pointer;
    this.#pointer = null;
    this.#free(pointer);
  }
}
