// Custom tools, whose input is one text: models know functions alone, so each is shown as a function with one argument,
// `input`, and its calls are told back as texts. What of its format is not kept is named like a schema's. Knows no dialect.

import { type Static, Type } from "@sinclair/typebox";
import type { ToolSchema } from "./structured-output.ts";

const INPUT = "input";

export const CustomFormat = Type.Object(
  {
    type: Type.String({ description: "`text` (default) or `grammar`." }),
    syntax: Type.Optional(Type.String({ description: "Of a grammar: `regex` or `lark`." })),
    definition: Type.Optional(Type.String()),
    grammar: Type.Optional(
      Type.Object(
        { syntax: Type.Optional(Type.String()), definition: Type.Optional(Type.String()) },
        { description: "Of a grammar in chats: holds `syntax` and `definition`." },
      ),
    ),
  },
  {
    description:
      "Of a custom tool. A `regex` is kept as a schema's `pattern` is; a `lark` grammar is shown to the model and not kept, " +
      "which `X-MLO-Relaxed` says.",
  },
);
export type CustomFormat = Static<typeof CustomFormat>;

export interface CustomTool {
  /** As the model knows it. */
  name: string;
  description?: string | undefined;
  format?: CustomFormat | undefined;
}

/** `param` is where its format stands. */
export function makeCustomTool({ name, description, format }: CustomTool, param: string): ToolSchema {
  const { syntax, definition } = { ...format?.grammar, ...format };
  const isGrammar = format !== undefined && format.type !== "text";
  const isRegex = isGrammar && syntax === "regex" && definition !== undefined;
  const texts = [description, isGrammar ? describeGrammar(syntax, definition) : undefined];
  const shown = texts.filter((text) => text !== undefined && text !== "").join("\n\n");
  const parameters = describeInput({});
  return {
    tool: { type: "function", function: { name, ...(shown === "" ? {} : { description: shown }), parameters } },
    param,
    schema: isRegex ? describeInput({ pattern: anchor(definition) }) : parameters,
    ...(isGrammar && !isRegex ? { relaxed: { path: "", keyword: "grammar", reason: explain(syntax) } } : {}),
  };
}

/** A call's input as the arguments that the model knows. */
export function writeCustomArguments(input: string): string {
  return JSON.stringify({ [INPUT]: input });
}

function describeInput(more: object): Record<string, unknown> {
  const properties = { [INPUT]: { type: "string", ...more } };
  return { type: "object", properties, required: [INPUT], additionalProperties: false };
}

function describeGrammar(syntax: string | undefined, definition: string | undefined): string | undefined {
  if (definition === undefined) return undefined;
  if (syntax === "regex") return `\`${INPUT}\` matches this regular expression: ${definition}`;
  return `\`${INPUT}\` follows this grammar${syntax === undefined ? "" : ` (${syntax.slice(0, 40)})`}:\n${definition}`;
}

/** A part of a faulty expression could else become a good one. */
function anchor(definition: string): string {
  try {
    new RegExp(definition, "u");
  } catch {
    return definition;
  }
  return `^(?:${definition})$`;
}

function explain(syntax: string | undefined): string {
  const kind = syntax === undefined ? "its" : JSON.stringify(syntax.slice(0, 40));
  return `${kind} grammars are not known here, the input may be any text`;
}
