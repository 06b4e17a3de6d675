// A checked chat request → the domain's GenerationRequest. Pure; what can't be done is refused by name.

import type { ChatMessage, ChatPrompt, GenerationRequest } from "../../protocol/generation.ts";
import { type AnswerSchema, constrainPrompt, type OutputContract, type OutputPlaces } from "../structured-output.ts";
import { addTools, listCustomTools, readCall } from "./chat-tools.ts";
import { readContinuation } from "./continuation.ts";
import { invalidField, readStops, readTokenLimit, refuse } from "./limits.ts";
import { readSampling } from "./sampling.ts";
import type { ChatMessageBody, ChatRequest } from "./schema.ts";

export interface ReadChat {
  request: GenerationRequest;
  /** What the answer is checked against; null: nothing. */
  contract: OutputContract | null;
  /** Names of those whose calls are texts. */
  customTools: ReadonlySet<string>;
}

const namePlaces = (customTools: ReadonlySet<string>): OutputPlaces => ({
  format: "response_format",
  nameText: (choice) => `choices[${choice}].message.content`,
  nameArguments: (choice, call, tool) =>
    `choices[${choice}].message.tool_calls[${call}].${customTools.has(tool) ? "custom" : "function.arguments"}`,
});

export function readChatRequest(body: ChatRequest, contextLength: number): ReadChat {
  const logprobs = readLogprobs(body);
  const customTools = listCustomTools(body);
  const { prompt, contract } = readPrompt(body, customTools);
  const request: GenerationRequest = {
    prompt,
    sampling: readSampling(body, contextLength),
    stop: readStops(body.stop),
    ...(logprobs === undefined ? {} : { logprobs }),
  };
  const oldLimit = readTokenLimit("max_tokens", body.max_tokens);
  const limit =
    body.max_completion_tokens === undefined
      ? oldLimit
      : readTokenLimit("max_completion_tokens", body.max_completion_tokens);
  if (limit !== undefined) request.maxTokens = limit;
  return { request, contract, customTools };
}

/** How many likely tokens come with each one's log probability; undefined: none of it is wanted. */
function readLogprobs(body: ChatRequest): number | undefined {
  const top = body.top_logprobs ?? 0;
  if (body.logprobs === true) return top;
  if (top > 0) throw invalidField("top_logprobs", "needs `logprobs: true`");
  return undefined;
}

function readPrompt(
  body: ChatRequest,
  customTools: ReadonlySet<string>,
): { prompt: ChatPrompt; contract: OutputContract | null } {
  const prompt: ChatPrompt = { kind: "chat", ...readContinuation(body, body.messages.map(readMessage)) };
  const tools = addTools(prompt, body);
  const contract = constrainPrompt(prompt, tools, readResponseFormat(body), namePlaces(customTools));
  if (body.parallel_tool_calls !== undefined) prompt.parallelToolCalls = body.parallel_tool_calls;
  const templateArgs = { ...readEffort(body.reasoning_effort), ...body.chat_template_kwargs };
  if (Object.keys(templateArgs).length > 0) prompt.templateArgs = templateArgs;
  return { prompt, contract };
}

/** As the variables that templates commonly read. */
function readEffort(effort: ChatRequest["reasoning_effort"]): Record<string, unknown> {
  if (effort === undefined) return {};
  return effort === "none" ? { enable_thinking: false } : { reasoning_effort: effort };
}

function readMessage(body: ChatMessageBody, index: number): ChatMessage {
  const at = `messages[${index}]`;
  const message: ChatMessage = { role: body.role === "developer" ? "system" : body.role };
  const calls = body.tool_calls ?? [];
  if (body.content !== undefined) message.content = readContent(body.content, `${at}.content`);
  else if (body.role !== "assistant") throw invalidField(`${at}.content`, "is required: a string or text parts");
  else message.content = calls.length > 0 ? null : "";
  if (body.name !== undefined) message.name = body.name;
  if (body.reasoning_content !== undefined) message.reasoning_content = body.reasoning_content;
  if (body.tool_call_id !== undefined) message.tool_call_id = body.tool_call_id;
  if (calls.length > 0) {
    message.tool_calls = calls.map((call, index) => readCall(call, `${at}.tool_calls[${index}]`));
  }
  return message;
}

function readContent(
  content: NonNullable<ChatMessageBody["content"]>,
  at: string,
): string | { type: string; text: string }[] {
  if (typeof content === "string") return content;
  return content.map((part, index) => {
    if (part.type !== "text")
      refuse(`${at}[${index}].type`, `${JSON.stringify(part.type)} parts can't be read, only text`);
    if (part.text === undefined) throw invalidField(`${at}[${index}].text`, "is required: a string");
    return { type: "text", text: part.text };
  });
}

function readResponseFormat(body: ChatRequest): AnswerSchema | null {
  const format = body.response_format;
  if (format === undefined || format.type === "text") return null;
  if (body.grammar !== undefined) throw invalidField("grammar", "and a JSON `response_format` exclude each other");
  if (format.type === "json_object") {
    return { schema: format.schema ?? { type: "object" }, param: "response_format.schema", isStrict: false };
  }
  const param = "response_format.json_schema.schema";
  const schema = format.json_schema?.schema;
  if (schema === undefined) throw invalidField(param, "is required: a JSON schema");
  return { schema, param, isStrict: format.json_schema?.strict === true };
}
