// A checked request of Anthropic's API → the domain's prompt and GenerationRequest. Pure; what can't be done is refused
// by name.

import type { ChatPrompt, ChatTool, GenerationRequest } from "../../protocol/generation.ts";
import { invalidField, refuse } from "../openai/limits.ts";
import { readSampling } from "../openai/sampling.ts";
import { MESSAGES_MAX } from "../openai/schema.ts";
import {
  type AnswerSchema,
  constrainPrompt,
  type OutputContract,
  type OutputPlaces,
  type ToolSchema,
} from "../structured-output.ts";
import { requireTool } from "../tool-choice.ts";
import { readConversation } from "./content.ts";
import type { MessageRequest, PromptBody, ToolBody } from "./schema.ts";

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
  refusePrefill(body);
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
  const messages = readConversation(body.system, body.messages);
  // Each result of a tool has become a message, so the schema's limit is not enough.
  if (messages.length > MESSAGES_MAX) {
    throw invalidField("messages", `hold ${messages.length} turns and tool results, at most ${MESSAGES_MAX} are taken`);
  }
  const prompt: ChatPrompt = { kind: "chat", messages, templateArgs: readTemplateArgs(body) };
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

/** As models of today have it: no template is asked to leave an answer open. */
function refusePrefill({ messages }: PromptBody): void {
  if (messages.at(-1)?.role !== "assistant") return;
  refuse(`messages[${messages.length - 1}].role`, "the answer can't begin with a given text; end with a user message");
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

/** Returns those that may be called, with their schemas. */
function addTools(prompt: ChatPrompt, body: PromptBody): ToolSchema[] {
  const tools = (body.tools ?? []).map(readTool);
  const choice = body.tool_choice;
  if (tools.length === 0) {
    if (choice?.type === "any" || choice?.type === "tool") {
      throw invalidField("tool_choice", "asks for a tool, but `tools` has none");
    }
    return [];
  }
  let callable = tools;
  prompt.parallelToolCalls = choice?.disable_parallel_tool_use !== true;
  if (choice?.type === "any") prompt.toolChoice = "required";
  else if (choice?.type === "none") prompt.toolChoice = "none";
  else if (choice?.type === "tool") {
    if (choice.name === undefined) throw invalidField("tool_choice.name", "is required: a tool's name");
    callable = requireTool(prompt, tools, choice.name, "tool_choice.name");
  }
  prompt.tools = callable.map(({ tool }) => tool);
  return callable;
}

function readTool(body: ToolBody, index: number): ToolSchema {
  const at = `tools[${index}]`;
  if (body.type !== undefined && body.type !== "custom") {
    refuse(`${at}.type`, `${JSON.stringify(body.type)} is Anthropic's own; only tools with an \`input_schema\` are`);
  }
  if (body.input_schema === undefined) throw invalidField(`${at}.input_schema`, "is required: a JSON schema");
  const tool: ChatTool = { type: "function", function: { name: body.name, parameters: body.input_schema } };
  if (body.description !== undefined) tool.function.description = body.description;
  if (body.strict !== undefined) tool.function.strict = body.strict;
  return { tool, param: `${at}.input_schema`, schema: body.input_schema };
}
