// Stands in for the Hub: tells the events that a test gives it, or refuses.

import { join } from "node:path";
import type { Detection } from "../../src/formats/detection.ts";
import { diskFiles } from "../../src/formats/file-source.ts";
import type { ModelSource, PullEvent, Pulled, PullOptions } from "../../src/hub/hub.ts";
import type { Look } from "../../src/hub/look.ts";
import type { ReadHeaders } from "../../src/hub/read-remotely.ts";
import type { SearchHit, SearchQuery } from "../../src/hub/search.ts";
import { AppError } from "../../src/protocol/errors.ts";

export class FakeHub implements ModelSource {
  refusal: AppError | null = null;
  /** Told before `done`, one macrotask apart. */
  events: PullEvent[] = [];
  /** Thrown after those events. */
  failure: Error | null = null;
  /** Of what was pulled; null: it is a GGUF file. */
  weightsFolder: string | null = null;
  readonly asked: string[] = [];
  readonly signals: AbortSignal[] = [];

  hits: SearchHit[] = [];
  readonly queries: SearchQuery[] = [];

  async search(query: SearchQuery): Promise<SearchHit[]> {
    this.queries.push(query);
    if (this.refusal !== null) throw this.refusal;
    return this.hits;
  }

  readonly looks: string[] = [];

  /** Whatever is asked for is this. */
  shown = join(import.meta.dir, "../../src/demo/demo.gguf");

  async look<T extends Detection>(text: string, read: ReadHeaders<T>): Promise<Look<T>> {
    this.looks.push(text);
    if (this.refusal !== null) throw this.refusal;
    const found = read(diskFiles, this.shown);
    const fit = { neededBytes: found.sizeBytes, availableBytes: null, fits: null };
    return {
      name: "owner/repo:Q8_0",
      repo: "owner/repo",
      downloadBytes: found.sizeBytes,
      memory: fit,
      disk: fit,
      found,
    };
  }

  async pull(text: string, { signal, onEvent }: PullOptions): Promise<Pulled> {
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
    return { name: text, folder: "/models", weightsFolder: this.weightsFolder };
  }
}
