// Items as clients send them → items as we keep and send them: checked, with an id each. Pure but for new ids. What can't
// be read by a language model without eyes or hosted tools is refused with its path.

import { isJsonTooDeep, NESTING_MAX } from "../body-shape.ts";
import { invalidField, refuse } from "../openai/limits.ts";
import { createId } from "../request-id.ts";
import type { Item, MessageItem, MessagePart, ReasoningItem } from "./reply-schema.ts";
import type { ContentPartBody, InputItemBody } from "./schema.ts";

/** An item, or the name of one that is stored. */
export type InputItem = Item | { type: "item_reference"; id: string };

/** Reasoning or a summary in a form that clients keep and send back without a look into it. */
const SEALED_PREFIX = "mlo1:";

/** `at` is the path of the list. Of two items with one id the second gets a new one. */
export function readInput(input: string | readonly InputItemBody[] | undefined, at: string): InputItem[] {
  if (input === undefined) return [];
  if (typeof input === "string") return [makeUserMessage(input)];
  const seen = new Set<string>();
  return input.map((body, index) => {
    const item = readItem(body, `${at}[${index}]`);
    if (item.type !== "item_reference" && seen.has(item.id)) item.id = createId(ID_PREFIXES[item.type]);
    seen.add(item.id);
    return item;
  });
}

type OutputType = "function_call_output" | "custom_tool_call_output";

export const ID_PREFIXES = {
  message: "msg_",
  function_call: "fc_",
  function_call_output: "fco_",
  custom_tool_call: "ctc_",
  custom_tool_call_output: "ctco_",
  reasoning: "rs_",
  compaction: "cmp_",
} as const satisfies Record<Item["type"], string>;

export function sealText(text: string): string {
  return SEALED_PREFIX + Buffer.from(text, "utf8").toString("base64");
}

/** Null: it was not sealed here. */
export function unsealText(sealed: string): string | null {
  if (!sealed.startsWith(SEALED_PREFIX)) return null;
  return Buffer.from(sealed.slice(SEALED_PREFIX.length), "base64").toString("utf8");
}

/** What the model thought; a summary where there is nothing else. */
export function readReasoning(item: ReasoningItem): string {
  const content = (item.content ?? []).map(({ text }) => text).join("");
  if (content !== "") return content;
  return unsealText(item.encrypted_content ?? "") ?? item.summary.map(({ text }) => text).join("\n");
}

function makeUserMessage(text: string): MessageItem {
  const content: MessagePart[] = [{ type: "input_text", text }];
  return { type: "message", id: createId(ID_PREFIXES.message), role: "user", status: "completed", content };
}

function readItem(body: InputItemBody, at: string): InputItem {
  const type = body.type ?? (isNameOnly(body) ? "item_reference" : "message");
  switch (type) {
    case "message":
      return readMessage(body, at);
    case "function_call":
      return readCall(body, at);
    case "custom_tool_call":
      return readCustomCall(body, at);
    case "function_call_output":
    case "custom_tool_call_output":
      return readCallOutput(body, type, at);
    case "reasoning":
      return readReasoningItem(body, at);
    case "compaction":
      return readCompaction(body, at);
    case "item_reference":
      return { type: "item_reference", id: need(body.id, `${at}.id`) };
    default:
      return refuse(`${at}.type`, `${JSON.stringify(type)} items can't be read`);
  }
}

/** OpenAI's clients may leave out that it is a reference. */
function isNameOnly({ id, role, content }: InputItemBody): boolean {
  return id !== undefined && role === undefined && content === undefined;
}

function readMessage(body: InputItemBody, at: string): MessageItem {
  const role = need(body.role, `${at}.role`);
  if (role !== "user" && role !== "assistant" && role !== "system" && role !== "developer") {
    throw invalidField(`${at}.role`, 'must be "user", "assistant", "system" or "developer"');
  }
  const content = body.content;
  if (content === undefined) throw invalidField(`${at}.content`, "is required: a string or text parts");
  const id = body.id ?? createId(ID_PREFIXES.message);
  const parts = readParts(content, `${at}.content`, role === "assistant");
  return { type: "message", id, role, status: "completed", content: parts };
}

function readParts(content: string | readonly ContentPartBody[], at: string, isOutput: boolean): MessagePart[] {
  const make = (text: string): MessagePart =>
    isOutput ? { type: "output_text", text, annotations: [], logprobs: [] } : { type: "input_text", text };
  if (typeof content === "string") return [make(content)];
  return content.map((part, index) => {
    const path = `${at}[${index}]`;
    if (part.type === "refusal") {
      return { type: "refusal", refusal: need(part.refusal ?? part.text, `${path}.refusal`) };
    }
    if (part.type !== "input_text" && part.type !== "output_text" && part.type !== "text") {
      refuse(`${path}.type`, `${JSON.stringify(part.type)} parts can't be read, only text`);
    }
    return make(need(part.text, `${path}.text`));
  });
}

function readCall(body: InputItemBody, at: string): Item {
  const text = need(body.arguments, `${at}.arguments`);
  if (isJsonTooDeep(text)) throw invalidField(`${at}.arguments`, `are nested over ${NESTING_MAX} levels`);
  return {
    type: "function_call",
    id: body.id ?? createId(ID_PREFIXES.function_call),
    call_id: need(body.call_id, `${at}.call_id`),
    name: need(body.name, `${at}.name`),
    ...(body.namespace === undefined ? {} : { namespace: body.namespace }),
    arguments: text,
    status: "completed",
  };
}

function readCustomCall(body: InputItemBody, at: string): Item {
  return {
    type: "custom_tool_call",
    id: body.id ?? createId(ID_PREFIXES.custom_tool_call),
    call_id: need(body.call_id, `${at}.call_id`),
    name: need(body.name, `${at}.name`),
    ...(body.namespace === undefined ? {} : { namespace: body.namespace }),
    input: need(body.input, `${at}.input`),
    status: "completed",
  };
}

function readCallOutput(body: InputItemBody, type: OutputType, at: string): Item {
  const output = body.output;
  if (output === undefined) throw invalidField(`${at}.output`, "is required: a string or text parts");
  return {
    type,
    id: body.id ?? createId(ID_PREFIXES[type]),
    call_id: need(body.call_id, `${at}.call_id`),
    output: typeof output === "string" ? output : readParts(output, `${at}.output`, false),
    status: "completed",
  };
}

/** Another server's would leave a hole where the conversation was. */
function readCompaction({ id, encrypted_content: sealed }: InputItemBody, at: string): Item {
  const text = need(sealed, `${at}.encrypted_content`);
  if (unsealText(text) === null) {
    throw invalidField(
      `${at}.encrypted_content`,
      "can't be read: only what this server's `/v1/responses/compact` gave can",
    );
  }
  return { type: "compaction", id: id ?? createId(ID_PREFIXES.compaction), encrypted_content: text };
}

function readReasoningItem(body: InputItemBody, at: string): ReasoningItem {
  const text = (parts: readonly ContentPartBody[], path: string) =>
    parts.map((part, index) => need(part.text, `${path}[${index}].text`));
  const content = typeof body.content === "string" ? [{ type: "reasoning_text", text: body.content }] : body.content;
  const sealed = body.encrypted_content;
  return {
    type: "reasoning",
    id: body.id ?? createId(ID_PREFIXES.reasoning),
    summary: text(body.summary ?? [], `${at}.summary`).map((one) => ({ type: "summary_text", text: one })),
    ...(content === undefined
      ? {}
      : { content: text(content, `${at}.content`).map((one) => ({ type: "reasoning_text", text: one })) }),
    ...(sealed === undefined ? {} : { encrypted_content: sealed }),
    status: "completed",
  };
}

function need(value: string | undefined, at: string): string {
  if (value === undefined) throw invalidField(at, "is required: a string");
  return value;
}
