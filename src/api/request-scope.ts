// One request's life: the signal that inference gets, and why it fired. It fires when the client goes
// away, when the time is up, or when the stream's reader stalls, and then it says which, as an AppError.

import type { Clock } from "../lib/clock.ts";
import { AppError, toAppError } from "../protocol/errors.ts";

export class RequestScope {
  readonly #controller = new AbortController();
  readonly #release: () => void;
  readonly #detach: () => void;

  constructor(clientSignal: AbortSignal, timeoutMs: number, clock: Clock) {
    const leave = () => this.abort(clientGone());
    const cancelTimer = timeoutMs > 0 ? clock.after(timeoutMs, () => this.abort(timeIsUp(timeoutMs)), true) : () => {};
    this.#detach = () => clientSignal.removeEventListener("abort", leave);
    this.#release = () => {
      this.#detach();
      cancelTimer();
    };
    if (clientSignal.aborted) leave();
    else clientSignal.addEventListener("abort", leave, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why the signal fired; null while it has not. */
  get failure(): AppError | null {
    return this.signal.aborted ? toAppError(this.signal.reason) : null;
  }

  /** The first reason stays; later ones change nothing. */
  abort(reason: AppError): void {
    this.#release();
    this.#controller.abort(reason);
  }

  /** From now on the request lives without its client, which may leave and come back. */
  detach(): void {
    this.#detach();
  }

  /** The request has its outcome: timer and listener go, and the signal will not fire any more. */
  close(): void {
    this.#release();
  }
}

/** Settles as the promise does, or rejects with the signal's reason as soon as that fires. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function clientGone(): AppError {
  return new AppError({ code: "cancelled", message: "the client closed the connection" });
}

function timeIsUp(timeoutMs: number): AppError {
  return new AppError({ code: "timeout", message: `the request took longer than ${timeoutMs} ms` });
}
