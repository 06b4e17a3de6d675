// A checked request of Anthropic's API → the domain's prompt and GenerationRequest. Pure; what can't be done is refused
// by name.

import type { ChatPrompt, GenerationRequest } from "../../protocol/generation.ts";
import { readContinuation } from "../openai/continuation.ts";
import { invalidField, refuse } from "../openai/limits.ts";
import { readSampling } from "../openai/sampling.ts";
import { MESSAGES_MAX } from "../openai/schema.ts";
import { type AnswerSchema, constrainPrompt, type OutputContract, type OutputPlaces } from "../structured-output.ts";
import { readConversation } from "./content.ts";
import { THREAD_FIELD } from "./errors.ts";
import type { MessageRequest, PromptBody } from "./schema.ts";
import { addTools } from "./tools.ts";

export interface ReadPrompt {
  prompt: ChatPrompt;
  /** What the answer is checked against; null: nothing. */
  contract: OutputContract | null;
}

/** Blocks are counted by their kind: which ones come before them is known at the end only. */
const PLACES: OutputPlaces = {
  format: "output_config.format",
  nameText: () => "content.text",
  nameArguments: (_choice, call) => `content.tool_use[${call}].input`,
};

export function readMessageRequest(
  body: MessageRequest,
  contextLength: number,
): ReadPrompt & { request: GenerationRequest } {
  refuseOpenCalls(body);
  const read = readPrompt(body);
  if (readFormat(body) !== null && body.grammar !== undefined) {
    throw invalidField("grammar", "and a JSON format exclude each other");
  }
  const request: GenerationRequest = {
    prompt: read.prompt,
    sampling: { ...readThinkingBudget(body), ...readSampling(body, contextLength) },
    stop: body.stop_sequences ?? [],
    maxTokens: body.max_tokens,
  };
  return { ...read, request };
}

/** Whether the client wants to see thoughts; what a model thinks without being asked is not sent. */
export function showsThinking({ thinking }: PromptBody): boolean {
  return thinking !== undefined && thinking.type !== "disabled";
}

export function readPrompt(body: PromptBody): ReadPrompt {
  if (body.mcp_servers !== undefined && body.mcp_servers.length > 0) {
    refuse("mcp_servers", "this server calls no other one; give their tools as `tools`");
  }
  // Without it a turn would look like a whole conversation. Clients know the answer (errors.ts) and send it all.
  if (body.thread !== undefined) refuse(THREAD_FIELD, "send the whole conversation in `messages`");
  const messages = readConversation(body.system, body.messages);
  // Each result of a tool has become a message, so the schema's limit is not enough.
  if (messages.length > MESSAGES_MAX) {
    throw invalidField("messages", `hold ${messages.length} turns and tool results, at most ${MESSAGES_MAX} are taken`);
  }
  // A last message of the assistant is a beginning; what the request says otherwise is OpenAI's clients' business.
  const prompt: ChatPrompt = { kind: "chat", ...readContinuation({}, messages), templateArgs: readTemplateArgs(body) };
  const tools = addTools(prompt, body);
  return { prompt, contract: constrainPrompt(prompt, tools, readFormat(body), PLACES) };
}

function readFormat({ output_config, output_format }: PromptBody): AnswerSchema | null {
  if (output_config?.format !== undefined) {
    return { schema: output_config.format.schema, param: "output_config.format.schema", isStrict: false };
  }
  if (output_format === undefined) return null;
  return { schema: output_format.schema, param: "output_format.schema", isStrict: false };
}

/** An answer can't go on behind calls whose results nobody has told. */
function refuseOpenCalls({ messages }: PromptBody): void {
  const last = messages.at(-1);
  if (last?.role !== "assistant" || typeof last.content === "string") return;
  const call = last.content.findIndex(({ type }) => type === "tool_use");
  if (call < 0) return;
  throw invalidField(`messages[${messages.length - 1}].content[${call}]`, "is a call: its result has to follow");
}

function readTemplateArgs(body: PromptBody): Record<string, unknown> {
  const args: Record<string, unknown> = { enable_thinking: showsThinking(body) };
  const effort = body.output_config?.effort;
  // What templates know ends there.
  if (effort !== undefined) args.reasoning_effort = effort === "xhigh" || effort === "max" ? "high" : effort;
  return args;
}

function readThinkingBudget({ thinking }: PromptBody): { reasoningBudgetTokens?: number } {
  if (thinking?.type === "disabled") return { reasoningBudgetTokens: 0 };
  return thinking?.budget_tokens === undefined ? {} : { reasoningBudgetTokens: thinking.budget_tokens };
}
