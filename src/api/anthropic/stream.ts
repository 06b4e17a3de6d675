// Events of a generation → the events of Anthropic's stream: one block is open at a time, and each has a start, deltas
// and a stop. Pure but for what it remembers of the stream.

import type { CacheReport, GenerationEvent, ToolCallDelta } from "../../protocol/generation.ts";
import { encodeMlo } from "../cache-report.ts";
import type { StreamEncoder } from "../sse.ts";
import type { StreamWire } from "../stream-wire.ts";
import {
  chooseCallId,
  chooseStop,
  encodeCounts,
  encodeHead,
  encodeUsage,
  type MessageTerms,
  SIGNATURE,
} from "./encode.ts";
import { encodeErrorReply } from "./errors.ts";
import type { BlockReply, MessageEvent } from "./reply-schema.ts";

/** What is known of the prompt before its answer. */
export interface PromptFacts {
  promptTokens: number;
  /** Null: not known yet; the last event says it. */
  cache: CacheReport | null;
}

export function createMessageStream(terms: MessageTerms, facts: PromptFacts, requestId: string): StreamEncoder {
  const blocks = new BlockWriter(terms);
  return {
    wire: createWire(requestId),
    open: () => openMessage(terms, facts),
    encode(_choice, event, total) {
      if (event.type === "started" || event.type === "progress") return [];
      if (event.type === "delta") return blocks.add(event);
      const ending = total ?? event;
      const delta = chooseStop(terms, event);
      return [
        ...blocks.close(),
        { type: "message_delta", delta, usage: encodeCounts(terms, ending), mlo: encodeMlo(ending) },
        { type: "message_stop" },
      ] satisfies MessageEvent[];
    },
  };
}

function openMessage(terms: MessageTerms, { promptTokens, cache }: PromptFacts): MessageEvent[] {
  const usage = { promptTokens, completionTokens: 0, cachedTokens: 0 };
  const known = { usage, cache: cache ?? { live: 0, retained: 0, disk: 0 } };
  const message = { ...encodeHead(terms, []), usage: encodeUsage(terms, known) };
  return [{ type: "message_start", message }, { type: "ping" }];
}

/** The clients tell events apart by their `event:` line. */
function encodeFrame(frame: object): string {
  const name = "type" in frame ? `event: ${frame.type}\n` : "";
  return `${name}data: ${JSON.stringify(frame)}\n\n`;
}

function createWire(requestId: string): StreamWire {
  return {
    keepAlive: encodeFrame({ type: "ping" } satisfies MessageEvent),
    end: "",
    encodeFrame,
    encodeError: (error) => encodeErrorReply(error, requestId),
  };
}

type Delta = Extract<GenerationEvent, { type: "delta" }>;
type BlockDelta = Extract<MessageEvent, { type: "content_block_delta" }>["delta"];

class BlockWriter {
  readonly #terms: MessageTerms;
  /** `tool 0` and the like; null = none is open. */
  #open: string | null = null;
  /** Blocks that have begun. */
  #count = 0;

  constructor(terms: MessageTerms) {
    this.#terms = terms;
  }

  add({ reasoning = "", text = "", toolCalls = [] }: Delta): MessageEvent[] {
    const events: MessageEvent[] = [];
    if (reasoning !== "" && this.#terms.thinking !== "none") {
      events.push(...this.#begin("thinking", () => ({ type: "thinking", thinking: "", signature: "" })));
      if (this.#terms.thinking === "shown") events.push(this.#delta({ type: "thinking_delta", thinking: reasoning }));
    }
    if (text !== "") {
      events.push(...this.#begin("text", () => ({ type: "text", text: "" })));
      events.push(this.#delta({ type: "text_delta", text }));
    }
    for (const call of toolCalls) events.push(...this.#addCall(call));
    return events;
  }

  /** Ends the block that is open. */
  close(): MessageEvent[] {
    if (this.#open === null) return [];
    const signed = this.#open === "thinking" ? [this.#delta({ type: "signature_delta", signature: SIGNATURE })] : [];
    this.#open = null;
    return [...signed, { type: "content_block_stop", index: this.#count - 1 }];
  }

  #addCall(call: ToolCallDelta): MessageEvent[] {
    const { index, name = "", arguments: text = "" } = call;
    const events = this.#begin(`tool ${index}`, () => {
      return { type: "tool_use", id: chooseCallId(this.#terms, call.id, index), name, input: {} };
    });
    if (text !== "") events.push(this.#delta({ type: "input_json_delta", partial_json: text }));
    return events;
  }

  #begin(name: string, makeBlock: () => BlockReply): MessageEvent[] {
    if (this.#open === name) return [];
    const closed = this.close();
    this.#open = name;
    return [...closed, { type: "content_block_start", index: this.#count++, content_block: makeBlock() }];
  }

  #delta(delta: BlockDelta): MessageEvent {
    return { type: "content_block_delta", index: this.#count - 1, delta };
  }
}
