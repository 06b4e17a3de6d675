// What a model writes, found by its own template: the template renders a conversation that has the answer in it, and
// what it puts behind the prompt is the text that the model was trained to write there. Test data only.

import type { Answer } from "./answer-formats.ts";

/** Tags that open and close thoughts; a prompt may end in the opening one. */
const THOUGHT_TAGS = [
  ["<think>", "</think>"],
  ["<think:opensource>", "</think:opensource>"],
  ["<mm:think>", "</mm:think>"],
  ["<seed:think>", "</seed:think>"],
  ["<|START_THINKING|>", "<|END_THINKING|>"],
  ["<|open|>think<|sep|>", "<|close|>think<|sep|>"],
  ["Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]"],
] as const;

/** What ends a turn. Generation stops there, so that it is never part of an answer's text. */
const TURN_ENDS = [
  "<|im_end|>",
  "<|eot_id|>",
  "<|eom_id|>",
  "</s>",
  "<end_of_turn>",
  "<turn|>",
  "<|tool_response>",
  "<|END_OF_TURN_TOKEN|>",
  "<|message_sep|>\n\nfunction result",
  "<|message_sep|>\n\nuser",
  "<|end_of_text|>",
  "<｜end▁of▁sentence｜>",
  "[e~[",
  "<end_of_sentence>",
  "<|eot|>",
  "<seed:eos>",
  "<|role_end|>",
  "<|observation|>",
  "<|user|>",
  "<｜hy_eos:opensource｜>",
  "<|assistant_end|>",
  "<SPECIAL_12>",
  "<|end_of_msg|>",
  "</assistant>",
  "\n\n<sep>",
  "<|calls|>",
  "<|call|>",
  "<|end|>\n",
  "<|end|><|begin|>user",
  "<|end|><|start|>user",
  "[RESULT",
  "\n\nUser:",
];

const openThought = (prompt: string): readonly [string, string] | null =>
  THOUGHT_TAGS.find(([open]) => prompt.trimEnd().endsWith(open.trimEnd())) ?? null;

function findTurnEnd(text: string, from: number): number {
  return Math.min(text.length, ...TURN_ENDS.map((end) => text.indexOf(end, from)).filter((at) => at >= 0));
}

/** Where the last of the texts that the answer must contain ends, from a position on; null where one is missing. */
function findEnd(text: string, from: number, { content, calls = [] }: Answer): number | null {
  const marks = [...(content === undefined ? [] : [content])];
  for (const call of calls) marks.push(call.name, ...Object.keys(call.arguments));
  let end = from;
  for (const mark of marks) {
    const at = text.indexOf(mark, from);
    if (at < 0) return null;
    end = Math.max(end, at + mark.length);
  }
  return end;
}

/**
 * The answer's text in a conversation that was rendered with it, behind the prompt that was rendered without. Null where
 * the template leaves out what was said.
 */
export function cutAnswer(prompt: string, rendered: string, answer: Answer): string | null {
  const open = openThought(prompt);
  const bare = open === null ? prompt : prompt.slice(0, prompt.lastIndexOf(open[0].trimEnd()));
  if (!rendered.startsWith(bare)) return null;
  const shared = rendered.startsWith(prompt) ? prompt : bare;
  const end = findEnd(rendered, shared.length, answer);
  if (end === null) return null;
  const written = rendered.slice(shared.length, findTurnEnd(rendered, end));
  if (open === null || shared === prompt) return written;
  // The prompt opens thoughts, which the conversation leaves out or opens with other white space.
  const begun = written.trimStart();
  const tag = open[0].trimEnd();
  if (begun.startsWith(tag)) return begun.slice(tag.length);
  return begun.startsWith(open[1]) ? begun : `${open[1]}${written}`;
}

/**
 * The text of an answer with thoughts, made of the texts of two that end in the same call, one with these thoughts and
 * one without. Templates leave out the thoughts of earlier turns, but not those that a call's result answers. Null
 * where they are left out there as well.
 */
export function thinkBefore(thinking: string, silent: string, reasoning: string, answer: string): string | null {
  const at = thinking.indexOf(reasoning);
  if (at < 0) return null;
  let shared = 0;
  const longest = Math.min(thinking.length - at - reasoning.length, silent.length);
  while (shared < longest && thinking.at(-1 - shared) === silent.at(-1 - shared)) shared++;
  const without = silent.slice(0, silent.length - shared);
  return (
    thinking.slice(0, thinking.length - shared) + (answer.startsWith(without) ? answer.slice(without.length) : answer)
  );
}

/** The text of an answer that is content alone, behind a prompt that may open thoughts. */
export function saySilently(prompt: string, content: string): string {
  return `${openThought(prompt)?.[1] ?? ""}${content}`;
}

/** The text of an answer with thoughts where only the prompt says how thoughts are written; null where it does not. */
export function thinkInPrompt(prompt: string, reasoning: string, answer: string): string | null {
  const open = openThought(prompt);
  if (open === null) return null;
  return `${reasoning}${open[1]}${answer.startsWith(open[1]) ? answer.slice(open[1].length) : answer}`;
}
