// One response from its first event to its last: events of a generation → events of the stream, numbered, and the reply
// that they add up to. Pure but for new ids: what is stored or sent is others' business.

import { ERROR_KINDS, type ErrorBody } from "../../protocol/errors.ts";
import type { GenerationEvent } from "../../protocol/generation.ts";
import { countCached, encodeCache } from "../cache-report.ts";
import type { Ending } from "../ending.ts";
import { OutputItems, type OutputOptions, type UnnumberedEvent } from "./output-items.ts";
import type { ResponseEvent, ResponseReply, ResponseStatus, ResponseUsage, ResponseWarning } from "./reply-schema.ts";

type Done = Extract<GenerationEvent, { type: "done" }>;

export class ResponseBuilder {
  readonly #reply: ResponseReply;
  readonly #output: OutputItems;
  #events: ResponseEvent[] = [];
  #sequence = 0;

  constructor(reply: ResponseReply, options: OutputOptions) {
    this.#reply = reply;
    this.#output = new OutputItems(options, (event) => this.#emit(event));
  }

  get status(): ResponseStatus {
    return this.#reply.status;
  }

  /** As it is now. */
  get reply(): ResponseReply {
    return structuredClone({ ...this.#reply, output: this.#output.items });
  }

  /** Only for responses in the background: nothing computes it yet. */
  queue(): ResponseEvent[] {
    this.#reply.status = "queued";
    this.#emitState("response.created");
    this.#emitState("response.queued");
    return this.#take();
  }

  /** The engine has accepted the prompt. */
  begin(mlo: ResponseReply["mlo"]): ResponseEvent[] {
    this.#reply.mlo = { ...this.#reply.mlo, ...mlo };
    this.#reply.status = "in_progress";
    if (this.#sequence === 0) this.#emitState("response.created");
    this.#emitState("response.in_progress");
    return this.#take();
  }

  /** Where the answer's text is, and a call's arguments, as paths into the reply. */
  nameText(): string {
    return this.#output.nameText();
  }

  nameArguments(call: number): string {
    return this.#output.nameArguments(call);
  }

  add(delta: Extract<GenerationEvent, { type: "delta" }>): ResponseEvent[] {
    this.#output.add(delta);
    return this.#take();
  }

  /** Items are closed; `end` says the rest, once the reply is stored. */
  finish(done: Done, completedAt: number): void {
    if (this.#output.cutsLogprobs) this.warn([LOGPROBS_CUT]);
    const isCut = done.finishReason === "length";
    this.#output.finish(isCut ? "incomplete" : "completed");
    this.#reply.status = isCut ? "incomplete" : "completed";
    if (isCut) this.#reply.incomplete_details = { reason: "max_output_tokens" };
    else this.#reply.completed_at = completedAt;
    this.#reply.usage = this.#encodeUsage(done);
    const { cache, usage } = done;
    this.#reply.mlo = {
      ...this.#reply.mlo,
      cache: encodeCache(cache, usage.promptTokens),
      ...(usage.droppedTokens === undefined ? {} : { dropped_tokens: usage.droppedTokens }),
    };
  }

  fail(error: ErrorBody): void {
    this.#output.finish("incomplete");
    this.#reply.status = "failed";
    this.#reply.error = encodeFailure(error);
  }

  cancel(): void {
    this.#output.finish("incomplete");
    this.#reply.status = "cancelled";
  }

  /** It could not be stored, and says so. */
  disown(reason: string): void {
    this.#reply.store = false;
    this.warn([{ code: "not_stored", path: "store", message: `the response was not stored: ${reason}` }]);
  }

  warn(warnings: readonly ResponseWarning[]): void {
    if (warnings.length === 0) return;
    this.#reply.mlo = { ...this.#reply.mlo, warnings: [...(this.#reply.mlo.warnings ?? []), ...warnings] };
  }

  /** The last events. */
  end(): ResponseEvent[] {
    this.#emitState(nameLastEvent(this.#reply.status));
    return this.#take();
  }

  #emitState(type: string): void {
    this.#emit({ type, response: this.reply });
  }

  #emit(event: UnnumberedEvent): void {
    const { type, ...fields } = event;
    this.#events.push({ type, sequence_number: this.#sequence++, ...fields });
  }

  #take(): ResponseEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  #encodeUsage({ usage, cache }: Ending): ResponseUsage {
    const { reasoningChars, textChars } = this.#output;
    const share = reasoningChars === 0 ? 0 : reasoningChars / (reasoningChars + textChars);
    return {
      input_tokens: usage.promptTokens,
      input_tokens_details: { cached_tokens: countCached(cache) },
      output_tokens: usage.completionTokens,
      output_tokens_details: { reasoning_tokens: Math.round(usage.completionTokens * share) },
      total_tokens: usage.promptTokens + usage.completionTokens,
    };
  }
}

const LOGPROBS_CUT: ResponseWarning = {
  code: "logprobs_cut",
  path: "output",
  message: "the log probabilities are too many to be kept: the last ones are in the stream's deltas alone",
};

/** OpenAI's stream has no event for a cancellation: readers end at the state of the response that this one carries. */
export function nameLastEvent(status: ResponseStatus): string {
  return status === "completed" || status === "incomplete" ? `response.${status}` : "response.failed";
}

/** OpenAI's words for what clients handle, and our own code for the rest. */
function encodeFailure(error: ErrorBody): NonNullable<ResponseReply["error"]> {
  const { status, hint } = ERROR_KINDS[error.code];
  const isBusy = error.code === "overloaded" || error.code === "rate_limited";
  const code = isBusy ? "rate_limit_exceeded" : status >= 500 ? "server_error" : error.code;
  return { code, message: error.message, hint: error.hint ?? hint };
}
