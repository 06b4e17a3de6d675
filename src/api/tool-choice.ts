// A tool that a request asks for by its name, in any dialect, as the engine understands it. Pure.

import { AppError } from "../protocol/errors.ts";
import type { ChatPrompt } from "../protocol/generation.ts";
import type { ToolSchema } from "./structured-output.ts";

/**
 * The answer has to call this tool: returns what may be called. llama.cpp knows no named choice: with one tool left,
 * "required" can only mean that one. Throws `invalid_request` when it is not there; `param` is where the request names it.
 */
export function requireTool(
  prompt: ChatPrompt,
  tools: readonly ToolSchema[],
  name: string,
  param: string,
): ToolSchema[] {
  const named = tools.filter(({ tool }) => tool.function.name === name);
  if (named.length === 0) {
    throw new AppError({ code: "invalid_request", message: `\`${param}\` names no tool of \`tools\``, param });
  }
  prompt.toolChoice = "required";
  return named;
}
