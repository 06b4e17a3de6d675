// Whether an answer goes on from the last message, as llama.cpp's server and vLLM have it: a last message of the assistant
// is a beginning, unless the request says otherwise. Pure; what excludes each other is refused by name.

import type { ChatMessage, ChatPrompt, GenerationRequest } from "../../protocol/generation.ts";
import { joinText } from "../begun-text.ts";
import { invalidField } from "./limits.ts";
import type { ChatRequest } from "./schema.ts";

type Asked = Pick<ChatRequest, "add_generation_prompt" | "continue_final_message">;
type Continuation = Pick<ChatPrompt, "messages" | "continues" | "opensAnswer">;

export function readContinuation(body: Asked, messages: ChatMessage[]): Continuation {
  const { add_generation_prompt: opens, continue_final_message: asked } = body;
  const last = messages.at(-1);
  if (asked !== undefined && asked !== false) {
    if (opens === true) {
      throw invalidField("add_generation_prompt", "and `continue_final_message` exclude each other");
    }
    assertBeginning(last, asked);
  } else if (asked === false || opens === true || last?.role !== "assistant" || last.tool_calls !== undefined) {
    return { messages, ...(opens === false ? { opensAnswer: false } : {}) };
  }
  const begun = joinText(last);
  // Many programs keep an empty message where the answer will stand.
  if (begun === "" && (last.reasoning_content ?? "") === "") {
    return { messages: messages.length > 1 ? messages.slice(0, -1) : messages };
  }
  const thinks = asked === "reasoning_content" || (asked !== "content" && begun === "");
  return { messages, continues: thinks ? "reasoning" : "content" };
}

function assertBeginning(last: ChatMessage | undefined, asked: true | string): asserts last is ChatMessage {
  const param = "continue_final_message";
  if (last?.role !== "assistant") throw invalidField(param, "needs a last message of the assistant");
  if (last.tool_calls !== undefined) throw invalidField(param, "can't go on from a message with tool calls");
  if (asked === "reasoning_content" && joinText(last) !== "") {
    throw invalidField(param, "can't go on in the thoughts of a message that has content");
  }
}

/** Only for a look at it is a conversation rendered without what opens an answer. */
export function assertAnswered({ prompt }: GenerationRequest): void {
  if (prompt.kind !== "chat" || prompt.opensAnswer !== false) return;
  throw invalidField(
    "add_generation_prompt",
    "can be false only where the last message is the assistant's and goes on",
  );
}
