// The tools of Anthropic's requests → the domain's, which of them may be called, and which must be. Pure; what can't be
// done is refused by name.

import type { ChatPrompt, ChatTool } from "../../protocol/generation.ts";
import { invalidField, refuse } from "../openai/limits.ts";
import type { ToolSchema } from "../structured-output.ts";
import { requireTool } from "../tool-choice.ts";
import type { Block, PromptBody, ToolBody } from "./schema.ts";

/** Returns those that may be called, with their schemas. */
export function addTools(prompt: ChatPrompt, body: PromptBody): ToolSchema[] {
  const choice = body.tool_choice;
  const known = collectKnownTools(body);
  const tools = (body.tools ?? []).flatMap((tool, index) => {
    const read = readTool(tool, index);
    return tool.defer_loading === true && !known.has(tool.name) ? [] : [read];
  });
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

/**
 * Clients send all tools at once and defer most of them: the model learns of one when a search's result refers to it.
 * What was called or is asked for by name is known too.
 */
function collectKnownTools({ messages, tool_choice }: PromptBody): Set<string | undefined> {
  const known = new Set([tool_choice?.name]);
  for (const { content } of messages) {
    if (typeof content === "string") continue;
    for (const block of content) {
      if (block.type === "tool_use") known.add(block.name);
      for (const inner of listInner(block)) if (inner.type === "tool_reference") known.add(inner.tool_name);
    }
  }
  return known;
}

function listInner({ content }: Block): Exclude<Block["content"], string | undefined> {
  return content === undefined || typeof content === "string" ? [] : content;
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
