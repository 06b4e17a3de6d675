// Reads one generation's events and holds their promise: deltas, then exactly one of done, error,
// cancelled, whatever the source does. It never throws, and never waits for a source that ignores an abort.

import type { Logger } from "../lib/log.ts";
import { AppError, toAppError } from "../protocol/errors.ts";
import { type GenerationEvent, isTerminal } from "../protocol/generation.ts";
import { type RequestScope, untilAborted } from "./request-scope.ts";

export class EventReader {
  readonly #iterator: AsyncIterator<GenerationEvent>;
  readonly #scope: RequestScope;
  readonly #log: Logger;
  #ended = false;

  constructor(events: AsyncIterable<GenerationEvent>, scope: RequestScope, log: Logger) {
    this.#iterator = events[Symbol.asyncIterator]();
    this.#scope = scope;
    this.#log = log;
  }

  /** The next event; null once the terminal one has been given out. */
  async next(): Promise<GenerationEvent | null> {
    if (this.#ended) return null;
    const event = await this.#pull();
    if (this.#ended) return null;
    if (!isTerminal(event)) return event;
    this.#end();
    return event;
  }

  /** The reader leaves early: inference is told, and nothing more is given out. */
  abandon(reason: AppError): void {
    if (this.#ended) return;
    this.#scope.abort(reason);
    this.#end();
  }

  async #pull(): Promise<GenerationEvent> {
    try {
      const step = await untilAborted(this.#iterator.next(), this.#scope.signal);
      if (step.done === true) return failed(new AppError({ code: "internal", message: "the generation broke off" }));
      return step.value.type === "cancelled" ? this.#explainCancel() : step.value;
    } catch (thrown) {
      return this.#scope.failure === null ? failed(toAppError(thrown)) : this.#explainCancel();
    }
  }

  /** A cancellation that we caused ourselves by a timeout is a timeout to the client. */
  #explainCancel(): GenerationEvent {
    const failure = this.#scope.failure;
    return failure === null || failure.code === "cancelled" ? { type: "cancelled" } : failed(failure);
  }

  #end(): void {
    this.#ended = true;
    this.#scope.close();
    // Not awaited: a source may only notice the abort at its next step, and the client need not wait for that.
    this.#iterator.return?.()?.catch((thrown: unknown) => {
      this.#log.warn("a generation's source failed while it was closed", { error: toAppError(thrown).message });
    });
  }
}

function failed(error: AppError): GenerationEvent {
  return { type: "error", error: error.toBody() };
}
