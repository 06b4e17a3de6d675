// Several generations' events as one sequence, in the order in which they come. It asks a generation for its next event
// only when it is asked itself, and holds at most one of each: how much may wait is the generations' own business.
// Knows nothing of HTTP, and nothing of what the events mean but which one is a generation's last.

import { AppError, toAppError } from "../protocol/errors.ts";
import { type GenerationEvent, isTerminal } from "../protocol/generation.ts";

/** An event, and which of the request's choices it belongs to. */
export interface ChoiceEvent {
  choice: number;
  event: GenerationEvent;
}

export class MergedEvents implements AsyncIterator<ChoiceEvent> {
  readonly #sources: Promise<AsyncIterator<GenerationEvent>>[];
  /** Choices to be asked for an event when the reader next wants one. */
  #idle: number[];
  /** In the order of their arrival, so that a fast choice can't keep out a slow one. */
  readonly #arrived: ChoiceEvent[] = [];
  #open: number;
  #wake = () => {};

  /** A source that fails, or ends without a terminal event, ends its choice with an error event. */
  constructor(sources: readonly Promise<AsyncIterable<GenerationEvent>>[]) {
    this.#sources = sources.map(async (source) => (await source)[Symbol.asyncIterator]());
    this.#idle = [...sources.keys()];
    this.#open = sources.length;
    for (const source of this.#sources) {
      source.catch(() => {
        // Told when the choice is asked for an event: until then a refusal must not count as unhandled.
      });
    }
  }

  async next(): Promise<IteratorResult<ChoiceEvent>> {
    for (const choice of this.#idle.splice(0)) void this.#ask(choice);
    for (;;) {
      const item = this.#arrived.shift();
      if (item === undefined) {
        if (this.#open === 0) return { done: true, value: undefined };
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      if (isTerminal(item.event)) this.#open--;
      else this.#idle.push(item.choice);
      return { done: false, value: item };
    }
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

  async #ask(choice: number): Promise<void> {
    this.#arrived.push({ choice, event: await this.#pull(choice) });
    this.#wake();
  }

  async #pull(choice: number): Promise<GenerationEvent> {
    try {
      const step = await (await this.#sources[choice])?.next();
      if (step !== undefined && step.done !== true) return step.value;
      throw new AppError({ code: "internal", message: "the generation broke off" });
    } catch (thrown) {
      return { type: "error", error: toAppError(thrown).toBody() };
    }
  }
}
