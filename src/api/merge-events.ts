// Several generations' events as one sequence, in the order in which they come. It asks a generation for its next event
// only when it is asked itself, and holds at most one of each: how much may wait is the generations' own business.
// Knows nothing of HTTP, and nothing of what the events mean but which one is a generation's last.

import { toAppError } from "../protocol/errors.ts";
import { type GenerationEvent, isTerminal } from "../protocol/generation.ts";

/** An event, and which of the request's choices it belongs to. */
export interface ChoiceEvent {
  choice: number;
  event: GenerationEvent;
}

const BROKEN_OFF: GenerationEvent = {
  type: "error",
  error: { code: "internal", message: "the generation broke off" },
};

export class MergedEvents implements AsyncIterator<ChoiceEvent> {
  readonly #sources: Promise<AsyncIterator<GenerationEvent>>[];
  /** Those of the sources that have come: asking them takes no detour. */
  readonly #iterators: AsyncIterator<GenerationEvent>[] = [];
  /** Choices to be asked for an event when the reader next wants one. */
  #idle: number[];
  /** In the order of their arrival, so that a fast choice can't keep out a slow one. */
  readonly #arrived: ChoiceEvent[] = [];
  #open: number;
  #interrupted = false;
  #waiter: ((step: IteratorResult<ChoiceEvent>) => void) | null = null;

  /** A source that fails, or ends without a terminal event, ends its choice with an error event. */
  constructor(sources: readonly Promise<AsyncIterable<GenerationEvent>>[]) {
    this.#sources = sources.map(async (source, choice) => {
      const iterator = (await source)[Symbol.asyncIterator]();
      this.#iterators[choice] = iterator;
      return iterator;
    });
    this.#idle = [...sources.keys()];
    this.#open = sources.length;
    for (const source of this.#sources) {
      source.catch(() => {
        // Told when the choice is asked for an event: until then a refusal must not count as unhandled.
      });
    }
  }

  /** One at a time. Done: all choices have ended, or the reading was interrupted. */
  next(): Promise<IteratorResult<ChoiceEvent>> {
    if (this.#interrupted) return Promise.resolve({ done: true, value: undefined });
    if (this.#idle.length > 0) {
      const idle = this.#idle;
      this.#idle = [];
      for (const choice of idle) this.#ask(choice);
    }
    const item = this.#arrived.shift();
    if (item !== undefined) return Promise.resolve(this.#give(item));
    if (this.#open === 0) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#waiter = resolve;
    });
  }

  /** Nothing more is given out: who waits for an event waits no longer. The sources go on until `return`. */
  interrupt(): void {
    this.#interrupted = true;
    this.#waiter?.({ done: true, value: undefined });
    this.#waiter = null;
  }

  /** Ends every source, also those that have not begun. Rejects when one can't be closed. */
  async return(): Promise<IteratorResult<ChoiceEvent>> {
    const closing = this.#sources.map(async (source) => {
      const iterator = await source.catch(() => null);
      await iterator?.return?.();
    });
    await Promise.all(closing);
    return { done: true, value: undefined };
  }

  #ask(choice: number): void {
    this.#pull(choice).then(
      (step) => this.#arrive({ choice, event: step.done === true ? BROKEN_OFF : step.value }),
      (thrown: unknown) => this.#arrive({ choice, event: { type: "error", error: toAppError(thrown).toBody() } }),
    );
  }

  #pull(choice: number): Promise<IteratorResult<GenerationEvent>> {
    const iterator = this.#iterators[choice];
    if (iterator !== undefined) return iterator.next();
    return this.#sources[choice]?.then((source) => source.next()) ?? Promise.resolve({ done: true, value: undefined });
  }

  #arrive(item: ChoiceEvent): void {
    const waiter = this.#waiter;
    if (waiter === null) {
      this.#arrived.push(item);
      return;
    }
    this.#waiter = null;
    waiter(this.#give(item));
  }

  #give(item: ChoiceEvent): IteratorResult<ChoiceEvent> {
    if (isTerminal(item.event)) this.#open--;
    else this.#idle.push(item.choice);
    return { done: false, value: item };
  }
}
