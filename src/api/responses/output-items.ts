// The output of one response as it grows: deltas of a generation → items, and the events that tell of them. Reasoning and
// text are open one at a time; calls stay open until the end, since a parser may still add to an earlier one. Pure but
// for new ids.

import { assert } from "../../lib/assert.ts";
import type { GenerationEvent, TokenScore, ToolCallDelta } from "../../protocol/generation.ts";
import { encodeChatLogprobs } from "../openai/encode-logprobs.ts";
import { createId } from "../request-id.ts";
import { ID_PREFIXES, sealText } from "./items.ts";
import { createCall, OpenCall } from "./open-call.ts";
import type { ItemStatus, MessageItem, OutputItem, ReasoningItem } from "./reply-schema.ts";
import { TextScores } from "./text-scores.ts";
import type { InnerNames } from "./tool-names.ts";

/**
 * Log probabilities that a response holds, tokens and alternatives each one: it is kept as JSON, at some 100 bytes each,
 * and given whole in several events. Deltas have all of them.
 */
const LOGPROBS_MAX = 2 ** 17;

/** An event but for its number. */
export interface UnnumberedEvent {
  type: string;
  [field: string]: unknown;
}

export type Emit = (event: UnnumberedEvent) => void;

interface Open<I extends OutputItem> {
  item: I;
  index: number;
  text: string;
  /** Of a message. */
  logprobs: object[];
}

export interface OutputOptions {
  /** Reasoning goes out as a summary, not as content. */
  summarises: boolean;
  sealsReasoning: boolean;
  toolNames: InnerNames;
  customTools: ReadonlySet<string>;
}

export class OutputItems {
  readonly items: OutputItem[] = [];
  readonly #emit: Emit;
  readonly #options: OutputOptions;
  #reasoning: Open<ReasoningItem> | null = null;
  #message: Open<MessageItem> | null = null;
  readonly #calls = new Map<number, OpenCall>();
  readonly #scores = new TextScores();
  #logprobs = 0;
  reasoningChars = 0;
  textChars = 0;

  constructor(options: OutputOptions, emit: Emit) {
    this.#options = options;
    this.#emit = emit;
  }

  /** Some log probabilities are in deltas alone. */
  get cutsLogprobs(): boolean {
    return this.#logprobs > LOGPROBS_MAX;
  }

  add({ reasoning = "", text = "", toolCalls = [], scores = [] }: Extract<GenerationEvent, { type: "delta" }>): void {
    this.#scores.note(scores);
    if (reasoning !== "") this.#addReasoning(reasoning);
    if (text !== "") this.#addText(text, this.#scores.take(text));
    else if (reasoning !== "" || toolCalls.length > 0) this.#scores.skip();
    for (const call of toolCalls) this.#addCall(call);
  }

  /** Of the last text, as a path into the reply. */
  nameText(): string {
    const index = this.items.findLastIndex(({ type }) => type === "message");
    return index < 0 ? "output" : `output[${index}].content[0].text`;
  }

  nameArguments(call: number): string {
    return this.#calls.get(call)?.place ?? "output";
  }

  /** Nothing comes any more. An answer without anything is an empty message: the conversation goes on after it. */
  finish(status: ItemStatus): void {
    if (this.items.length === 0 && status === "completed") this.#openMessage();
    this.#closeReasoning(status);
    this.#closeMessage(status);
    for (const call of this.#calls.values()) {
      call.finish();
      this.#close(call, status);
    }
    this.#calls.clear();
  }

  #push<I extends OutputItem>(item: I): Open<I> {
    const index = this.items.push(item) - 1;
    // A copy: the item grows, and the event says what it began with.
    this.#emit({ type: "response.output_item.added", output_index: index, item: structuredClone(item) });
    return { item, index, text: "", logprobs: [] };
  }

  #addReasoning(text: string): void {
    this.#closeMessage("completed");
    this.#reasoning ??= this.#openReasoning();
    const open = this.#reasoning;
    open.text += text;
    this.reasoningChars += text.length;
    const at = { item_id: open.item.id, output_index: open.index };
    if (this.#options.summarises) {
      this.#emit({ type: "response.reasoning_summary_text.delta", ...at, summary_index: 0, delta: text });
    } else this.#emit({ type: "response.reasoning_text.delta", ...at, content_index: 0, delta: text });
    fillReasoning(open, this.#options);
  }

  #openReasoning(): Open<ReasoningItem> {
    const id = createId(ID_PREFIXES.reasoning);
    const open = this.#push<ReasoningItem>({ type: "reasoning", id, summary: [], status: "in_progress" });
    const at = { item_id: id, output_index: open.index };
    if (this.#options.summarises) {
      const part = { type: "summary_text", text: "" };
      this.#emit({ type: "response.reasoning_summary_part.added", ...at, summary_index: 0, part });
    } else {
      const part = { type: "reasoning_text", text: "" };
      this.#emit({ type: "response.content_part.added", ...at, content_index: 0, part });
    }
    return open;
  }

  #closeReasoning(status: ItemStatus): void {
    const open = this.#reasoning;
    if (open === null) return;
    this.#reasoning = null;
    fillReasoning(open, this.#options);
    if (this.#options.sealsReasoning) open.item.encrypted_content = sealText(open.text);
    const { text } = open;
    const at = { item_id: open.item.id, output_index: open.index };
    if (this.#options.summarises) {
      this.#emit({ type: "response.reasoning_summary_text.done", ...at, summary_index: 0, text });
      const part = { type: "summary_text", text };
      this.#emit({ type: "response.reasoning_summary_part.done", ...at, summary_index: 0, part });
    } else {
      this.#emit({ type: "response.reasoning_text.done", ...at, content_index: 0, text });
      const part = { type: "reasoning_text", text };
      this.#emit({ type: "response.content_part.done", ...at, content_index: 0, part });
    }
    this.#close(open, status);
  }

  #addText(text: string, scores: readonly TokenScore[]): void {
    this.#closeReasoning("completed");
    this.#message ??= this.#openMessage();
    const open = this.#message;
    open.text += text;
    this.textChars += text.length;
    const logprobs = encodeChatLogprobs(scores, true)?.content ?? [];
    for (const { top } of scores) this.#logprobs += 1 + top.length;
    if (!this.cutsLogprobs) open.logprobs.push(...logprobs);
    open.item.content = [makeText(open.text, open.logprobs)];
    this.#emit({
      type: "response.output_text.delta",
      item_id: open.item.id,
      output_index: open.index,
      content_index: 0,
      delta: text,
      logprobs,
    });
  }

  #openMessage(): Open<MessageItem> {
    const id = createId(ID_PREFIXES.message);
    const item: MessageItem = { type: "message", id, role: "assistant", status: "in_progress", content: [] };
    const open = this.#push(item);
    this.#message = open;
    item.content = [makeText("", [])];
    this.#emit({
      type: "response.content_part.added",
      item_id: id,
      output_index: open.index,
      content_index: 0,
      part: makeText("", []),
    });
    return open;
  }

  #closeMessage(status: ItemStatus): void {
    const open = this.#message;
    if (open === null) return;
    this.#message = null;
    const at = { item_id: open.item.id, output_index: open.index, content_index: 0 };
    this.#emit({ type: "response.output_text.done", ...at, text: open.text, logprobs: open.logprobs });
    this.#emit({ type: "response.content_part.done", ...at, part: makeText(open.text, open.logprobs) });
    this.#close(open, status);
  }

  #addCall(delta: ToolCallDelta): void {
    this.#closeReasoning("completed");
    this.#closeMessage("completed");
    let call = this.#calls.get(delta.index);
    if (call === undefined) {
      call = this.#openCall(delta);
      this.#calls.set(delta.index, call);
    } else if (delta.name !== undefined) call.rename(delta.name);
    const { arguments: text = "" } = delta;
    this.textChars += text.length;
    call.add(text);
  }

  #openCall({ id: callId, name = "" }: ToolCallDelta): OpenCall {
    const { toolNames, customTools } = this.#options;
    const call = createCall(name, callId ?? createId("call_"), { toolNames, customTools });
    const { index } = this.#push(call.item);
    return new OpenCall(call, index, this.#emit);
  }

  #close({ item, index }: Pick<Open<OutputItem>, "item" | "index">, status: ItemStatus): void {
    assert(item.status === "in_progress", "an item is closed once");
    item.status = status;
    this.#emit({ type: "response.output_item.done", output_index: index, item: structuredClone(item) });
  }
}

function fillReasoning({ item, text }: Open<ReasoningItem>, { summarises }: OutputOptions): void {
  if (summarises) item.summary = [{ type: "summary_text", text }];
  else item.content = [{ type: "reasoning_text", text }];
}

function makeText(text: string, logprobs: object[]): MessageItem["content"][number] {
  return { type: "output_text", text, annotations: [], logprobs };
}
