// A checked chat request → the domain's GenerationRequest. Pure; what can't be done is refused by name.

import type { ChatMessage, ChatPrompt, ChatTool, GenerationRequest } from "../../protocol/generation.ts";
import { isJsonTooDeep, NESTING_MAX } from "../body-shape.ts";
import { invalidField, readStops, readTokenLimit, refuse } from "./limits.ts";
import { readSampling } from "./sampling.ts";
import type { ChatMessageBody, ChatRequest, ToolBody } from "./schema.ts";

export function readChatRequest(body: ChatRequest, contextLength: number): GenerationRequest {
  refuseUnsupported(body);
  const request: GenerationRequest = {
    prompt: readPrompt(body),
    sampling: readSampling(body, contextLength),
    stop: readStops(body.stop),
  };
  const oldLimit = readTokenLimit("max_tokens", body.max_tokens);
  const limit =
    body.max_completion_tokens === undefined
      ? oldLimit
      : readTokenLimit("max_completion_tokens", body.max_completion_tokens);
  if (limit !== undefined) request.maxTokens = limit;
  return request;
}

function refuseUnsupported(body: ChatRequest): void {
  if (body.logprobs === true) refuse("logprobs", "only false is");
  if (body.top_logprobs !== undefined && body.top_logprobs > 0) refuse("top_logprobs", "only 0 is");
}

function readPrompt(body: ChatRequest): ChatPrompt {
  const prompt: ChatPrompt = { kind: "chat", messages: body.messages.map(readMessage) };
  const schema = readResponseFormat(body);
  if (schema !== undefined) prompt.jsonSchema = schema;
  addTools(prompt, body);
  if (body.parallel_tool_calls !== undefined) prompt.parallelToolCalls = body.parallel_tool_calls;
  if (body.chat_template_kwargs !== undefined) prompt.templateArgs = body.chat_template_kwargs;
  return prompt;
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
    message.tool_calls = calls.map(({ id, function: { name, arguments: text } }, call) => {
      if (isJsonTooDeep(text)) {
        throw invalidField(`${at}.tool_calls[${call}].function.arguments`, `are nested over ${NESTING_MAX} levels`);
      }
      return { ...(id === undefined ? {} : { id }), type: "function", function: { name, arguments: text } };
    });
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

function addTools(prompt: ChatPrompt, body: ChatRequest): void {
  const tools = (body.tools ?? []).map(readTool);
  const choice = body.tool_choice;
  if (tools.length === 0) {
    if (choice === "required" || typeof choice === "object")
      throw invalidField("tool_choice", "asks for a tool, but `tools` has none");
    return;
  }
  prompt.tools = tools;
  if (typeof choice === "string") {
    if (choice !== "auto" && choice !== "none" && choice !== "required")
      throw invalidField("tool_choice", "is unknown");
    prompt.toolChoice = choice;
  } else if (choice !== undefined) {
    // llama.cpp knows no named choice: with one tool left, "required" can only mean that one.
    const named = tools.filter((tool) => tool.function.name === choice.function.name);
    if (named.length === 0) throw invalidField("tool_choice.function.name", "names no tool of `tools`");
    prompt.tools = named;
    prompt.toolChoice = "required";
  }
}

function readTool(body: ToolBody, index: number): ChatTool {
  if (body.type !== "function") refuse(`tools[${index}].type`, `only "function" is, not ${JSON.stringify(body.type)}`);
  if (body.function === undefined) throw invalidField(`tools[${index}].function`, "is required: an object");
  const { name, description, parameters, strict } = body.function;
  const tool: ChatTool = { type: "function", function: { name } };
  if (description !== undefined) tool.function.description = description;
  if (parameters !== undefined) tool.function.parameters = parameters;
  if (strict !== undefined) tool.function.strict = strict;
  return tool;
}

function readResponseFormat(body: ChatRequest): Record<string, unknown> | undefined {
  const format = body.response_format;
  if (format === undefined || format.type === "text") return undefined;
  if (body.grammar !== undefined) throw invalidField("grammar", "and a JSON `response_format` exclude each other");
  if (format.type === "json_object") return format.schema ?? { type: "object" };
  const schema = format.json_schema?.schema;
  if (schema === undefined) throw invalidField("response_format.json_schema.schema", "is required: a JSON schema");
  return schema;
}
