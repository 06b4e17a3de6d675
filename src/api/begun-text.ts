// The text that an answer goes on from: a conversation's last message, in every dialect. Pure.

import type { ChatMessage, ChatPrompt } from "../protocol/generation.ts";

/** Content parts as llama.cpp joins them. */
export function joinText({ content }: Pick<ChatMessage, "content">): string {
  return typeof content === "string" ? content : (content ?? []).map(({ text = "" }) => text).join("\n\n");
}

/** What the answer's text has before it in the prompt already; empty where it is a new one. */
export function readBegunText({ messages, continues }: ChatPrompt): string {
  const last = messages.at(-1);
  return continues === "content" && last !== undefined ? joinText(last) : "";
}
