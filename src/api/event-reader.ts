// Reads the events of a request's choices and holds their promise: deltas, then one done for each, or one error or
// cancelled for all, whatever the sources do. It never throws, and never waits for a source that ignores an abort.

import type { Logger } from "../lib/log.ts";
import { AppError, toAppError } from "../protocol/errors.ts";
import type { GenerationEvent } from "../protocol/generation.ts";
import { type ChoiceEvent, MergedEvents } from "./merge-events.ts";
import type { RequestScope } from "./request-scope.ts";

export class EventReader {
  readonly #events: MergedEvents;
  readonly #scope: RequestScope;
  readonly #log: Logger;
  #open: number;
  #ended = false;

  constructor(sources: readonly Promise<AsyncIterable<GenerationEvent>>[], scope: RequestScope, log: Logger) {
    this.#events = new MergedEvents(sources);
    this.#open = sources.length;
    this.#scope = scope;
    this.#log = log;
    // One listener for the request, not one for each event. The signal is the request's own and goes with it.
    if (scope.signal.aborted) this.#events.interrupt();
    else scope.signal.addEventListener("abort", () => this.#events.interrupt(), { once: true });
  }

  /** True once the last event has been given out. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The next event; null after the last one: the last choice's `done`, or the first error or cancellation. */
  async next(): Promise<ChoiceEvent | null> {
    if (this.#ended) return null;
    const item = await this.#pull();
    if (this.#ended) return null;
    if (item.event.type === "error") this.abandon(new AppError(item.event.error));
    else if (item.event.type === "cancelled") this.abandon(cancelled());
    else if (item.event.type === "done" && --this.#open === 0) this.#end();
    return item;
  }

  /** Nothing more is given out, and inference is told to end whatever still runs. */
  abandon(reason: AppError): void {
    if (this.#ended) return;
    this.#scope.abort(reason);
    this.#end();
  }

  async #pull(): Promise<ChoiceEvent> {
    const step = await this.#events.next();
    if (step.done !== true)
      return step.value.event.type === "cancelled" ? this.#explainCancel(step.value.choice) : step.value;
    if (this.#scope.failure !== null) return this.#explainCancel(0);
    return failed(0, new AppError({ code: "internal", message: "all choices ended before the request" }));
  }

  /** A cancellation that we caused ourselves by a timeout is a timeout to the client. */
  #explainCancel(choice: number): ChoiceEvent {
    const failure = this.#scope.failure;
    if (failure === null || failure.code === "cancelled") return { choice, event: { type: "cancelled" } };
    return failed(choice, failure);
  }

  #end(): void {
    this.#ended = true;
    this.#scope.close();
    // Not awaited: a source may only notice the abort at its next step, and the client need not wait for that.
    this.#events.return().catch((thrown: unknown) => {
      this.#log.warn("a generation's source failed while it was closed", { error: toAppError(thrown).message });
    });
  }
}

function failed(choice: number, error: AppError): ChoiceEvent {
  return { choice, event: { type: "error", error: error.toBody() } };
}

function cancelled(): AppError {
  return new AppError({ code: "cancelled", message: "the generation was cancelled" });
}
