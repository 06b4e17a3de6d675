// Calls of tools → OpenAI's JSON for chats, whole and in pieces: functions with their arguments, custom tools with their
// input. Pure; a stream's encoder remembers only what a piece needs.

import type { ToolCallDelta } from "../../protocol/generation.ts";
import { CustomInput, readCustomInput } from "../custom-input.ts";
import type { Answer } from "../generate.ts";
import type { ChatHead } from "./encode.ts";
import type { ToolCallChunk, ToolCallReply } from "./reply-schema.ts";

export function encodeCalls(calls: Answer["toolCalls"], head: ChatHead, choice: number): ToolCallReply[] {
  // Gaps in the indexes would be holes in the array.
  return calls.flatMap(({ id: known, name, arguments: text }, index): ToolCallReply[] => {
    const id = known ?? makeCallId(head, choice, index);
    return head.customTools.has(name)
      ? [{ id, type: "custom", custom: { name, input: readCustomInput(text) } }]
      : [{ id, type: "function", function: { name, arguments: text } }];
  });
}

/** Of one choice of a stream. */
export class CallEncoder {
  readonly #head: ChatHead;
  readonly #choice: number;
  /** Those that have been named; of a custom one its input. */
  readonly #named = new Map<number, CustomInput | null>();

  constructor(head: ChatHead, choice: number) {
    this.#head = head;
    this.#choice = choice;
  }

  /** Nothing or one piece. */
  encode({ index, id, name, arguments: text }: ToolCallDelta): ToolCallChunk[] {
    const known = this.#named.get(index);
    if (known === undefined) return [this.#begin({ index, name: name ?? "", text: text ?? "", id })];
    if (known === null) {
      const more = { ...(name === undefined ? {} : { name }), ...(text === undefined ? {} : { arguments: text }) };
      return [{ index, function: more }];
    }
    const input = known.add(text ?? "");
    return input === "" ? [] : [{ index, custom: { input } }];
  }

  /** What is left of custom calls, whose arguments were not as expected. */
  finish(): ToolCallChunk[] {
    return [...this.#named].flatMap(([index, known]) => {
      const input = known?.finish() ?? "";
      return input === "" ? [] : [{ index, custom: { input } }];
    });
  }

  /** The first piece of a call carries its id and name, even if the model's format has no ids. */
  #begin(call: { index: number; id: string | undefined; name: string; text: string }): ToolCallChunk {
    const { index, name, text } = call;
    const id = call.id ?? makeCallId(this.#head, this.#choice, index);
    if (!this.#head.customTools.has(name)) {
      this.#named.set(index, null);
      return { index, id, type: "function", function: { name, arguments: text } };
    }
    const reader = new CustomInput();
    this.#named.set(index, reader);
    return { index, id, type: "custom", custom: { name, input: reader.add(text) } };
  }
}

/** Unique in the reply: a client may put the calls of several choices into one list. */
function makeCallId(head: ChatHead, choice: number, index: number): string {
  const prefix = `call_${head.id.replace(/^chatcmpl-/, "")}`;
  return choice === 0 ? `${prefix}_${index}` : `${prefix}_${choice}_${index}`;
}
