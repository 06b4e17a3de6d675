// Tools and their choice → the prompt's. Functions and custom tools are the client's to run; tools that OpenAI hosts don't
// exist here: they are left out with a warning, and refused where the answer would have to use one. Pure.

import type { ChatPrompt, ChatTool } from "../../protocol/generation.ts";
import { isSchemaObject } from "../../protocol/schema/relaxation.ts";
import { makeCustomTool } from "../custom-tools.ts";
import { invalidField, refuse } from "../openai/limits.ts";
import type { ToolSchema } from "../structured-output.ts";
import { requireTool } from "../tool-choice.ts";
import type { ResponseWarning } from "./reply-schema.ts";
import { type InnerTool, type ResponseRequest, type ResponseTool, TOOLS_MAX } from "./schema.ts";
import { type InnerNames, joinName } from "./tool-names.ts";

type ToolChoice = NonNullable<ResponseRequest["tool_choice"]>;

export interface ToolPlan {
  /** As the reply repeats them. */
  tools: ResponseTool[];
  toolChoice: ToolChoice;
  /** Those that may be called, with their schemas. */
  callable: ToolSchema[];
  names: InnerNames;
  /** As the model knows them: those whose calls are texts. */
  customTools: ReadonlySet<string>;
  warnings: ResponseWarning[];
}

type ToolBody = Pick<ResponseRequest, "tools" | "tool_choice" | "parallel_tool_calls">;

/** Adds the tools to the prompt. */
export function addTools(prompt: ChatPrompt, body: ToolBody): ToolPlan {
  const { found, warnings } = listCallable(body.tools ?? []);
  const schemas = found.map(readFound);
  if (body.parallel_tool_calls !== undefined) prompt.parallelToolCalls = body.parallel_tool_calls;
  const toolChoice = body.tool_choice ?? "auto";
  const callable = applyChoice(prompt, schemas, toolChoice);
  if (callable.length > 0) prompt.tools = callable.map(({ tool }) => tool);
  const names = found.flatMap(({ tool: { name }, namespace }) =>
    name === undefined || namespace === undefined
      ? []
      : [[joinName({ name, namespace }), { name, namespace }] as const],
  );
  const isCustom = (_: unknown, index: number) => found[index]?.tool.type === "custom";
  const customTools = new Set(schemas.filter(isCustom).map(({ tool }) => tool.function.name));
  const tools = (body.tools ?? []).filter(({ type }) => isCallable(type) || type === "namespace");
  return { tools, toolChoice, callable, names: new Map(names), customTools, warnings };
}

interface FoundTool {
  tool: InnerTool;
  namespace: string | undefined;
  /** Its path. */
  at: string;
}

const isCallable = (type: string): boolean => type === "function" || type === "custom";

function listCallable(tools: readonly ResponseTool[]): { found: FoundTool[]; warnings: ResponseWarning[] } {
  const found: FoundTool[] = [];
  const warnings: ResponseWarning[] = [];
  const add = (tool: InnerTool, namespace: string | undefined, at: string) => {
    if (isCallable(tool.type)) found.push({ tool, namespace, at });
    else {
      const message = `it is left out: there are no ${JSON.stringify(tool.type.slice(0, 60))} tools here`;
      warnings.push({ code: "tool_left_out", path: at, message });
    }
  };
  for (const [index, tool] of tools.entries()) {
    const at = `tools[${index}]`;
    if (tool.type !== "namespace") add(tool, undefined, at);
    else {
      const namespace = needName(tool.name, at);
      for (const [inner, one] of (tool.tools ?? []).entries()) add(one, namespace, `${at}.tools[${inner}]`);
    }
  }
  if (found.length > TOOLS_MAX) {
    throw invalidField("tools", `have ${found.length} functions in all, at most ${TOOLS_MAX} are taken`);
  }
  return { found, warnings };
}

function readFound({ tool: body, namespace, at }: FoundTool): ToolSchema {
  const { description, parameters, strict, format } = body;
  const name = joinName({ name: needName(body.name, at), namespace });
  if (body.type === "custom") return makeCustomTool({ name, description, format }, `${at}.format`);
  const tool: ChatTool = { type: "function", function: { name } };
  if (description !== undefined) tool.function.description = description;
  // What is no schema is nothing that a template could show.
  if (isSchemaObject(parameters)) tool.function.parameters = parameters;
  if (strict !== undefined) tool.function.strict = strict;
  // OpenAI's clients write null for "no arguments".
  return { tool, param: `${at}.parameters`, schema: parameters ?? undefined };
}

function needName(name: string | undefined, at: string): string {
  if (name === undefined) throw invalidField(`${at}.name`, "is required: a string");
  return name;
}

/** Returns those that may be called. */
function applyChoice(prompt: ChatPrompt, tools: ToolSchema[], choice: ToolChoice): ToolSchema[] {
  if (typeof choice === "string") {
    if (choice === "required" && tools.length === 0) {
      throw invalidField("tool_choice", "asks for a tool, but `tools` has none that can be called");
    }
    // Without tools there is nothing to choose, and clients send "auto" all the same.
    if (tools.length > 0) prompt.toolChoice = choice;
    return tools;
  }
  if (choice.type === "function" || choice.type === "custom") {
    if (choice.name === undefined) throw invalidField("tool_choice.name", "is required: a string");
    const name = joinName({ name: choice.name, namespace: choice.namespace });
    return requireTool(prompt, tools, name, "tool_choice.name");
  }
  if (choice.type === "allowed_tools") {
    const allowed = new Set(
      (choice.tools ?? []).flatMap(({ name, namespace }) => (name === undefined ? [] : joinName({ name, namespace }))),
    );
    const left = tools.filter(({ tool }) => allowed.has(tool.function.name));
    if (left.length === 0) throw invalidField("tool_choice.tools", "names no tool of `tools`");
    prompt.toolChoice = choice.mode ?? "auto";
    return left;
  }
  return refuse("tool_choice.type", `there are no ${JSON.stringify(choice.type.slice(0, 60))} tools here`);
}
