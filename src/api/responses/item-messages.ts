// Items → the messages of a chat prompt. What a model gave in one answer (reasoning, text, calls) becomes one message
// again, so that the next prompt begins with exactly the tokens that are in the cache. Pure.

import type { ChatMessage } from "../../protocol/generation.ts";
import { writeCustomArguments } from "../custom-tools.ts";
import { readReasoning, unsealText } from "./items.ts";
import type {
  CompactionItem,
  CustomCallItem,
  CustomOutputItem,
  FunctionCallItem,
  FunctionOutputItem,
  Item,
  MessageItem,
  MessagePart,
} from "./reply-schema.ts";
import { joinName } from "./tool-names.ts";

const SUMMARY_OPENING = "The conversation before this point was replaced by this summary of it:";

export function toMessages(instructions: string | undefined, items: readonly Item[]): ChatMessage[] {
  const messages: ChatMessage[] = [];
  if (instructions !== undefined && instructions !== "") messages.push({ role: "system", content: instructions });
  let answer: ChatMessage | null = null;
  /** The answer that the item belongs to: a new one where it comes before what is there already. */
  const continueAnswer = (begins: (open: ChatMessage) => boolean): ChatMessage => {
    if (answer === null || begins(answer)) {
      answer = { role: "assistant", content: "" };
      messages.push(answer);
    }
    return answer;
  };
  for (const item of items) {
    if (item.type === "reasoning") {
      const text = readReasoning(item);
      if (text === "") continue;
      const open = continueAnswer((before) => before.content !== "" || before.tool_calls !== undefined);
      open.reasoning_content = (open.reasoning_content ?? "") + text;
    } else if (item.type === "function_call" || item.type === "custom_tool_call") {
      const open = continueAnswer(() => false);
      open.tool_calls = [...(open.tool_calls ?? []), toCall(item)];
      if (open.content === "") open.content = null;
    } else if (item.type === "message" && item.role === "assistant") {
      const open = continueAnswer((before) => before.content !== "" || before.tool_calls !== undefined);
      open.content = joinText(item.content);
    } else {
      answer = null;
      messages.push(toOther(item));
    }
  }
  return messages;
}

function toOther(item: MessageItem | FunctionOutputItem | CustomOutputItem | CompactionItem): ChatMessage {
  if (item.type === "message") return toMessage(item);
  if (item.type !== "compaction") return toToolMessage(item);
  const summary = unsealText(item.encrypted_content) ?? "";
  return { role: "user", content: `${SUMMARY_OPENING}\n\n${summary}` };
}

function toMessage({ role, content }: MessageItem): ChatMessage {
  const texts = content.map(readPart);
  const [only] = texts;
  return {
    role: role === "developer" ? "system" : role,
    content: only !== undefined && texts.length === 1 ? only : texts.map((text) => ({ type: "text", text })),
  };
}

function toToolMessage({ call_id, output }: FunctionOutputItem | CustomOutputItem): ChatMessage {
  return { role: "tool", tool_call_id: call_id, content: typeof output === "string" ? output : joinText(output) };
}

function toCall(item: FunctionCallItem | CustomCallItem): NonNullable<ChatMessage["tool_calls"]>[number] {
  const text = item.type === "function_call" ? item.arguments : writeCustomArguments(item.input);
  return { id: item.call_id, type: "function", function: { name: joinName(item), arguments: text } };
}

function joinText(parts: readonly MessagePart[]): string {
  return parts.map(readPart).join("");
}

function readPart(part: MessagePart): string {
  return part.type === "refusal" ? part.refusal : part.text;
}
