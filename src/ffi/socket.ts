// The engine's end of its socket to the server, without an event loop: the engine's thread waits and reads by itself.

import type { NativeLibrary } from "./library.ts";
import { NativeError } from "./native-error.ts";

/** One read; a long message takes several. */
const READ_BYTES = 256 * 1024;

export interface Wakeups {
  readable: boolean;
  jobEnded: boolean;
}

export class NativeSocket {
  readonly #library: NativeLibrary;
  readonly #descriptor: number;
  readonly #buffer = new Uint8Array(READ_BYTES);

  constructor(library: NativeLibrary, descriptor: number) {
    this.#library = library;
    this.#descriptor = descriptor;
  }

  /** Waits for bytes or for the end of a job. timeoutMs < 0 = without limit. */
  wait(timeoutMs: number): Wakeups {
    const bits = this.#library.calls.mlo_wait(this.#descriptor, timeoutMs);
    return { readable: (bits & 1) !== 0, jobEnded: (bits & 2) !== 0 };
  }

  /** Waits for the end of a job alone: bytes that arrive meanwhile stay where they are. */
  waitForJob(timeoutMs: number): void {
    this.#library.calls.mlo_wait(-1, timeoutMs);
  }

  /** A copy of what is there; null = nothing now; `closed` = the server is gone. */
  read(): Uint8Array | null | "closed" {
    const bytes = this.#library.calls.mlo_read(this.#descriptor, this.#buffer, READ_BYTES);
    if (bytes > 0) return this.#buffer.slice(0, bytes);
    if (bytes === -1) return null;
    return "closed";
  }

  /** Writes all of it; throws when the server is gone. */
  write(bytes: Uint8Array): void {
    const status = this.#library.calls.mlo_write(this.#descriptor, bytes, bytes.byteLength);
    if (status !== 0) throw new NativeError("mlo_write", `the socket to the server failed (errno ${-status})`);
  }
}

/** Ends this process when its parent does, however that happens. */
export function dieWithParent(library: NativeLibrary, parentPid: number): void {
  library.check("mlo_die_with_parent", library.calls.mlo_die_with_parent(parentPid));
}
