// Native work on a thread of its own, polled between steps.

import type { Pointer } from "bun:ffi";
import { Handle } from "./handle.ts";
import type { NativeLibrary } from "./library.ts";
import { NativeError } from "./native-error.ts";

export type JobState =
  | { kind: "running"; progress: number }
  | { kind: "done" }
  | { kind: "failed"; error: NativeError };

/** A job whose result is a `T`, built by `take` from the pointer that the job made. */
export class NativeJob<T> extends Handle {
  readonly #library: NativeLibrary;
  readonly #call: string;
  readonly #take: (job: Pointer) => T;

  constructor(library: NativeLibrary, call: string, pointer: Pointer, take: (job: Pointer) => T) {
    super("job", pointer, (job) => library.calls.mlo_job_free(job));
    this.#library = library;
    this.#call = call;
    this.#take = take;
  }

  poll(): JobState {
    const { calls } = this.#library;
    const state = calls.mlo_job_poll(this.pointer);
    if (state === 0) return { kind: "running", progress: calls.mlo_job_progress(this.pointer) };
    if (state > 0) return { kind: "done" };
    return { kind: "failed", error: new NativeError(this.#call, String(calls.mlo_job_error(this.pointer))) };
  }

  /** The result of a job that is done; once. */
  take(): T {
    return this.#take(this.pointer);
  }

  cancel(): void {
    this.#library.calls.mlo_job_cancel(this.pointer);
  }
}
