// The tools of a chat request, functions and custom ones, which of them may be called, and calls of earlier answers → the
// domain's. Pure; what can't be done is refused by name.

import type { ChatMessage, ChatPrompt, ChatTool } from "../../protocol/generation.ts";
import { isSchemaObject } from "../../protocol/schema/relaxation.ts";
import { isJsonTooDeep, NESTING_MAX } from "../body-shape.ts";
import { makeCustomTool, writeCustomArguments } from "../custom-tools.ts";
import type { ToolSchema } from "../structured-output.ts";
import { requireTool } from "../tool-choice.ts";
import { invalidField, refuse } from "./limits.ts";
import type { ChatRequest, ChatToolBody, MessageToolCall, ToolBody } from "./schema.ts";

type ToolChoice = Exclude<NonNullable<ChatRequest["tool_choice"]>, string>;

/** Returns those that may be called, with their schemas. */
export function addTools(prompt: ChatPrompt, body: ChatRequest): ToolSchema[] {
  const tools = (body.tools ?? []).map(readChatTool);
  const choice = body.tool_choice;
  if (tools.length === 0) {
    if (choice === "required" || typeof choice === "object")
      throw invalidField("tool_choice", "asks for a tool, but `tools` has none");
    return [];
  }
  let callable = tools;
  if (typeof choice === "string") {
    if (choice !== "auto" && choice !== "none" && choice !== "required")
      throw invalidField("tool_choice", "is unknown");
    prompt.toolChoice = choice;
  } else if (choice !== undefined) callable = applyChoice(prompt, tools, choice);
  prompt.tools = callable.map(({ tool }) => tool);
  return callable;
}

function applyChoice(prompt: ChatPrompt, tools: readonly ToolSchema[], choice: ToolChoice): ToolSchema[] {
  if (choice.type !== "allowed_tools") {
    const param = `tool_choice.${choice.type}`;
    const named = choice[choice.type];
    if (named === undefined) throw invalidField(param, "is required: an object");
    return requireTool(prompt, tools, named.name, `${param}.name`);
  }
  const param = "tool_choice.allowed_tools";
  if (choice.allowed_tools === undefined) throw invalidField(param, "is required: an object");
  const { mode, tools: named } = choice.allowed_tools;
  const allowed = new Set(named.flatMap((tool) => (tool.function ?? tool.custom)?.name ?? []));
  const left = tools.filter(({ tool }) => allowed.has(tool.function.name));
  if (left.length === 0) throw invalidField(`${param}.tools`, "names no tool of `tools`");
  prompt.toolChoice = mode;
  return left;
}

/** Names of those whose calls are texts. */
export function listCustomTools({ tools = [] }: ChatRequest): ReadonlySet<string> {
  return new Set(tools.flatMap(({ type, custom }) => (type === "custom" ? (custom?.name ?? []) : [])));
}

function readChatTool(body: ChatToolBody, index: number): ToolSchema {
  const at = `tools[${index}]`;
  if (body.type === "function") return readTool(body, index);
  if (body.type !== "custom") {
    refuse(`${at}.type`, `only "function" and "custom" are, not ${JSON.stringify(body.type.slice(0, 60))}`);
  }
  if (body.custom === undefined) throw invalidField(`${at}.custom`, "is required: an object");
  return makeCustomTool(body.custom, `${at}.custom.format`);
}

/** A function; other kinds are refused. */
export function readTool(body: ToolBody, index: number): ToolSchema {
  if (body.type !== "function") refuse(`tools[${index}].type`, `only "function" is, not ${JSON.stringify(body.type)}`);
  if (body.function === undefined) throw invalidField(`tools[${index}].function`, "is required: an object");
  const { name, description, parameters, strict } = body.function;
  const tool: ChatTool = { type: "function", function: { name } };
  if (description !== undefined) tool.function.description = description;
  // What is no schema is nothing that a template could show.
  if (isSchemaObject(parameters)) tool.function.parameters = parameters;
  if (strict !== undefined) tool.function.strict = strict;
  return { tool, param: `tools[${index}].function.parameters`, schema: parameters };
}

/** A call of an earlier answer. */
export function readCall(body: MessageToolCall, at: string): NonNullable<ChatMessage["tool_calls"]>[number] {
  const id = body.id === undefined ? {} : { id: body.id };
  if (body.type === "custom") {
    if (body.custom === undefined) throw invalidField(`${at}.custom`, "is required: an object");
    const { name, input } = body.custom;
    return { ...id, type: "function", function: { name, arguments: writeCustomArguments(input) } };
  }
  if (body.function === undefined) throw invalidField(`${at}.function`, "is required: an object");
  const { name, arguments: text } = body.function;
  if (isJsonTooDeep(text)) throw invalidField(`${at}.function.arguments`, `are nested over ${NESTING_MAX} levels`);
  return { ...id, type: "function", function: { name, arguments: text } };
}
