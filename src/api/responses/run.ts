// One response being computed: the generation's events, read one by one, become the response's. The end is settled (stored
// as far as it wants that) before its last events are given out, so that a client can go on from it at once.

import { AppError } from "../../protocol/errors.ts";
import { CACHE_HEADER, formatCacheHeader } from "../cache-report.ts";
import { EventReader } from "../event-reader.ts";
import { describeChanges, settleFor, startWithin } from "../generate.ts";
import type { ApiContext } from "../options.ts";
import { OutputWatch } from "../output-warnings.ts";
import type { RequestScope } from "../request-scope.ts";
import { generateTruncated, type Truncation } from "../truncation.ts";
import type { ResponseBuilder } from "./builder.ts";
import type { ResponsePlan } from "./plan.ts";
import type { ResponseEvent } from "./reply-schema.ts";

export interface RunParts {
  api: ApiContext;
  /** The model's name as the client sent it. */
  model: string | undefined;
  plan: ResponsePlan;
  builder: ResponseBuilder;
  scope: RequestScope;
  /** Called once, with the builder at its end; gives the last events. */
  settle: () => ResponseEvent[];
}

/** Resolves when the engine has accepted the prompt; throws its refusal. */
export async function startRun(parts: RunParts): Promise<ResponseRun> {
  const { api, model, plan, scope } = parts;
  const start = plan.truncates
    ? generateTruncated(api.inference, model, plan.generation, scope.signal)
    : api.inference
        .generate(model, plan.generation, scope.signal)
        .then((generation) => ({ generation, request: plan.generation, truncation: null }));
  const reader = new EventReader([start.then(({ generation }) => generation.events)], scope, api.log);
  const { generation, truncation, contract } = await startWithin(scope, async () => {
    const started = await start;
    return { ...started, contract: settleFor(started.generation.model, plan.contract) };
  });
  const headers = new Headers(describeChanges(contract, truncation));
  headers.set(CACHE_HEADER, formatCacheHeader(generation.cache, generation.promptTokens));
  return new ResponseRun({ ...parts, plan: { ...plan, contract } }, reader, truncation, headers);
}

export class ResponseRun {
  /** Of the HTTP response; for an answer in one piece the cache's is exact at the end. */
  readonly headers: Headers;
  readonly #parts: RunParts;
  readonly #reader: EventReader;
  readonly #truncation: Truncation | null;
  readonly #watch: OutputWatch | null;
  #failure: AppError | null = null;

  constructor(parts: RunParts, reader: EventReader, truncation: Truncation | null, headers: Headers) {
    this.#parts = parts;
    this.#reader = reader;
    this.#truncation = truncation;
    this.headers = headers;
    this.#watch = createWatch(parts);
  }

  /** Why it ended without an answer. */
  get failure(): AppError | null {
    return this.#failure;
  }

  get ended(): boolean {
    return this.#reader.ended;
  }

  begin(): ResponseEvent[] {
    const { builder } = this.#parts;
    return builder.begin(this.#truncation === null ? {} : { truncated: this.#truncation });
  }

  /** Null after the end. Never throws. */
  async next(): Promise<ResponseEvent[] | null> {
    const item = await this.#reader.next();
    if (item === null) return null;
    const { builder, api, settle } = this.#parts;
    const { event } = item;
    this.#watch?.note(item.choice, event);
    switch (event.type) {
      case "started":
      case "progress":
        return [];
      case "delta":
        return builder.add(event);
      case "done":
        builder.warn(this.#watch?.list() ?? []);
        builder.finish(event, Math.floor(api.clock.wallMs() / 1000));
        this.headers.set(CACHE_HEADER, formatCacheHeader(event.cache, event.usage.promptTokens));
        return settle();
      case "error":
        this.#failure = new AppError(event.error);
        builder.fail(event.error);
        return settle();
      case "cancelled":
        this.#failure = new AppError({ code: "cancelled", message: "the generation was cancelled" });
        builder.cancel();
        return settle();
    }
  }

  abandon(reason: AppError): void {
    this.#reader.abandon(reason);
  }
}

function createWatch({ plan: { contract }, builder }: RunParts): OutputWatch | null {
  if (contract === null) return null;
  const places = {
    ...contract.places,
    nameText: () => builder.nameText(),
    nameArguments: (_choice: number, call: number) => builder.nameArguments(call),
  };
  return new OutputWatch({ ...contract, places });
}
