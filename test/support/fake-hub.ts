// Stands in for the Hub: tells the events that a test gives it, or refuses.

import type { ModelSource, PullEvent, PullOptions } from "../../src/hub/hub.ts";
import type { SearchHit, SearchQuery } from "../../src/hub/search.ts";
import { AppError } from "../../src/protocol/errors.ts";

export class FakeHub implements ModelSource {
  refusal: AppError | null = null;
  /** Told before `done`, one macrotask apart. */
  events: PullEvent[] = [];
  /** Thrown after those events. */
  failure: Error | null = null;
  readonly asked: string[] = [];
  readonly signals: AbortSignal[] = [];

  hits: SearchHit[] = [];
  readonly queries: SearchQuery[] = [];

  async search(query: SearchQuery): Promise<SearchHit[]> {
    this.queries.push(query);
    if (this.refusal !== null) throw this.refusal;
    return this.hits;
  }

  async pull(text: string, { signal, onEvent }: PullOptions): Promise<{ name: string; folder: string }> {
    this.asked.push(text);
    this.signals.push(signal);
    if (this.refusal !== null) throw this.refusal;
    for (const event of this.events) {
      onEvent(event);
      await new Promise((resolve) => setImmediate(resolve));
      if (signal.aborted) throw new AppError({ code: "cancelled", message: "the download was stopped" });
    }
    if (this.failure !== null) throw this.failure;
    onEvent({ type: "done", name: text, folder: "/models", wasThere: this.events.length === 0 });
    return { name: text, folder: "/models" };
  }
}
