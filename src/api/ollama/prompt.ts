// Bodies of /api/chat and /api/generate → the domain's GenerationRequest, with what the answer is checked against. Pure;
// what can't be done is refused by name.

import type { ChatMessage, ChatPrompt, GenerationRequest, Prompt } from "../../protocol/generation.ts";
import { readTool } from "../openai/chat-tools.ts";
import { readContinuation } from "../openai/continuation.ts";
import { invalidField, refuse } from "../openai/limits.ts";
import {
  type AnswerSchema,
  constrainPrompt,
  type OutputContract,
  type OutputPlaces,
  type ToolSchema,
} from "../structured-output.ts";
import { readMessages, refuseImages } from "./messages.ts";
import { readOptions } from "./options.ts";
import type { OllamaChatRequest, OllamaGenerateRequest } from "./schema.ts";

type Body = OllamaChatRequest | OllamaGenerateRequest;

export interface ReadCall {
  request: GenerationRequest;
  /** Null: nothing. */
  contract: OutputContract | null;
}

const CHAT_PLACES: OutputPlaces = {
  format: "format",
  nameText: () => "message.content",
  nameArguments: (_choice, call) => `message.tool_calls[${call}].function.arguments`,
};

const GENERATE_PLACES: OutputPlaces = { ...CHAT_PLACES, nameText: () => "response" };

export function readChat(body: OllamaChatRequest, contextLength: number): ReadCall {
  const messages = readMessages(body.messages ?? []);
  const tools = (body.tools ?? []).map(readTool);
  const { prompt, contract } = readConversation(body, messages, tools, CHAT_PLACES);
  return { request: { prompt, ...readSettings(body, contextLength) }, contract };
}

export function readGenerate(body: OllamaGenerateRequest, contextLength: number): ReadCall {
  refuseImages(body.images, "images");
  const settings = readSettings(body, contextLength);
  const { prompt, contract } = readPrompt(body, settings.maxTokens ?? 0);
  return { request: { prompt, ...settings }, contract };
}

function readSettings(body: Body, contextLength: number): Omit<GenerationRequest, "prompt"> {
  const logprobs = readLogprobs(body);
  const settings = readOptions(body.options, contextLength);
  // A template may not know the word; a thought that begins all the same then ends at once.
  if (body.think === false) settings.sampling = { reasoningBudgetTokens: 0, ...settings.sampling };
  return {
    ...settings,
    ...(logprobs === undefined ? {} : { logprobs }),
    ...(body.shift === undefined ? {} : { contextShift: body.shift }),
  };
}

/** How many likely tokens come with each one's log probability; undefined: none of it is wanted. */
function readLogprobs({ logprobs, top_logprobs: top = 0 }: Body): number | undefined {
  if (logprobs === true) return top;
  if (top > 0) throw invalidField("top_logprobs", "needs `logprobs: true`");
  return undefined;
}

function readPrompt(
  body: OllamaGenerateRequest,
  answerTokens: number,
): { prompt: Prompt; contract: OutputContract | null } {
  const { prompt = "", suffix = "", system = "", raw = false } = body;
  if ((body.template ?? "") !== "") refuse("template", "the model's own chat template is used");
  if (raw && system !== "") throw invalidField("system", "has no place in a `raw` prompt");
  if (suffix !== "" && system !== "") throw invalidField("system", "has no place beside a `suffix`");
  if (raw && (body.context ?? []).length > 0) throw invalidField("context", "has no place in a `raw` prompt");
  if (raw || suffix !== "") {
    if (readFormat(body) !== null) refuse("format", "prompts with `raw` or `suffix` have no chat template");
    if (suffix === "") return { prompt: { kind: "text", text: prompt }, contract: null };
    const gap: Prompt = { kind: "infill", prefix: prompt, suffix, prompt: "", extra: [], answerTokens };
    return { prompt: gap, contract: null };
  }
  const messages = [...(system === "" ? [] : [{ role: "system", content: system }]), { role: "user", content: prompt }];
  return readConversation(body, messages, [], GENERATE_PLACES);
}

function readConversation(
  body: Body,
  messages: ChatMessage[],
  tools: readonly ToolSchema[],
  places: OutputPlaces,
): { prompt: ChatPrompt; contract: OutputContract | null } {
  // Ollama too goes on from a last message of the assistant.
  const prompt: ChatPrompt = { kind: "chat", ...readContinuation({}, messages) };
  if (tools.length > 0) prompt.tools = tools.map(({ tool }) => tool);
  const contract = constrainPrompt(prompt, tools, readFormat(body), places);
  const { think } = body;
  if (typeof think === "string") prompt.templateArgs = { enable_thinking: true, reasoning_effort: think };
  else if (think !== undefined) prompt.templateArgs = { enable_thinking: think };
  return { prompt, contract };
}

function readFormat({ format, options }: Body): AnswerSchema | null {
  if (format === undefined || format === "") return null;
  if (options?.grammar !== undefined) throw invalidField("options.grammar", "and `format` exclude each other");
  return { schema: format === "json" ? { type: "object" } : format, param: "format", isStrict: false };
}
