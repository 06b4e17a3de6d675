// What a request's schemas ask of the answer: lowered for the grammar before it goes to the engine, checked afterwards.
// Each constraint that the grammar does not keep is named with its place, before the answer in a header and with it in
// its warnings; under `strict` it is refused. Knows no dialect.

import { AppError } from "../protocol/errors.ts";
import type { ChatPrompt, ChatTool } from "../protocol/generation.ts";
import type { ArgumentFormat } from "../protocol/model-info.ts";
import { type LowerOptions, lowerSchema, WORK_MAX } from "../protocol/schema/lower.ts";
import { isSchemaObject, type Relaxation, type SchemaObject } from "../protocol/schema/relaxation.ts";
import { relaxArguments } from "../protocol/schema/text-arguments.ts";
import { readBegunText } from "./begun-text.ts";

/** A schema of the request, and where it stands there. */
interface Source {
  /** Of the tool; null: the answer's own. */
  tool: string | null;
  /** Such as `tools[3].function.parameters`. */
  param: string;
  schema: unknown;
  isStrict: boolean;
}

/** A tool's schema as it came and as the grammar gets it. */
interface Arguments extends Source {
  lowered: SchemaObject;
}

export interface Relaxed extends Relaxation {
  tool: string | null;
  param: string;
}

/** How a dialect names the places of schemas and answers, for those who read the warnings. */
export interface OutputPlaces {
  /** The request's field that asks for an answer by a schema. */
  format: string;
  nameText(choice: number): string;
  nameArguments(choice: number, call: number, tool: string): string;
}

/** What the answer is checked against. */
export interface OutputContract {
  places: OutputPlaces;
  relaxed: readonly Relaxed[];
  /** Schemas of the arguments by the tools' names. */
  tools: ReadonlyMap<string, unknown>;
  /** What the model's format may not keep: `settleContract` says, once the model is known. */
  arguments: readonly Arguments[];
  /** Schema of the text; undefined: it may be any. */
  answer: unknown;
  /** What the text begins with, in the prompt already; empty: nothing. */
  begun: string;
}

/** An answer's schema, as the request has it. */
export interface AnswerSchema {
  schema: unknown;
  param: string;
  isStrict: boolean;
}

export interface ToolSchema {
  tool: ChatTool;
  param: string;
  schema: unknown;
  /** What the tool asks for besides its schema, and the grammar does not keep. */
  relaxed?: Relaxation;
}

/** llama.cpp takes `{}` for no schema at all. */
const ANY_VALUE: SchemaObject = { description: "any JSON value" };

/**
 * Adds to the prompt what the grammar follows. Null: there is nothing to keep. Throws `not_supported` for what `strict`
 * asks for and the grammar can't keep.
 */
export function constrainPrompt(
  prompt: ChatPrompt,
  tools: readonly ToolSchema[],
  answer: AnswerSchema | null,
  places: OutputPlaces,
): OutputContract | null {
  const work = { left: WORK_MAX };
  const relaxed: Relaxed[] = [];
  const schemas = new Map<string, unknown>();
  const calls: Arguments[] = [];
  if (answer !== null) {
    const lowered = lower({ ...answer, tool: null }, { name: "answer", work }, relaxed);
    prompt.jsonSchema = isSchemaObject(answer.schema) ? answer.schema : {};
    prompt.grammarSchema = isAny(lowered) ? ANY_VALUE : lowered;
  }
  if (prompt.toolChoice !== "none") {
    for (const [index, { tool, param, schema, relaxed: lost }] of tools.entries()) {
      if (lost !== undefined) relaxed.push({ ...lost, tool: tool.function.name, param });
      // No schema, or an empty one, is how clients say "no arguments"; llama.cpp reads it so too.
      if (schema === undefined || (isSchemaObject(schema) && Object.keys(schema).length === 0)) continue;
      const { function: called } = tool;
      const source = { tool: called.name, param, schema, isStrict: called.strict === true };
      const lowered = lower(source, { name: `tool${index}`, work, onlyObjects: true }, relaxed);
      called.grammarParameters = isAny(lowered) ? { type: "object" } : lowered;
      calls.push({ ...source, lowered: called.grammarParameters });
      schemas.set(called.name, schema);
    }
  }
  if (answer === null && schemas.size === 0) return null;
  return { places, relaxed, tools: schemas, arguments: calls, answer: answer?.schema, begun: readBegunText(prompt) };
}

/**
 * With what the model's own format of calls does not keep. Throws `not_supported` where `strict` asks for it. Null format:
 * the model says nothing of it.
 */
export function settleContract(contract: OutputContract, format: ArgumentFormat | null): OutputContract {
  if (format === null) return contract;
  const relaxed = [...contract.relaxed];
  for (const { tool, param, schema, isStrict, lowered } of contract.arguments) {
    const known = relaxed.filter((relaxation) => relaxation.param === param);
    for (const relaxation of relaxArguments(format, schema, lowered)) {
      if (known.some(({ path, keyword }) => path === relaxation.path && keyword === relaxation.keyword)) continue;
      if (isStrict) throw refuseStrict({ tool, param, schema, isStrict }, relaxation);
      relaxed.push({ ...relaxation, tool, param });
    }
  }
  return { ...contract, relaxed };
}

function lower(source: Source, options: LowerOptions, relaxed: Relaxed[]): SchemaObject {
  const lowered = lowerSchema(source.schema, options);
  const [first] = lowered.relaxed;
  if (source.isStrict && first !== undefined) throw refuseStrict(source, first);
  for (const relaxation of lowered.relaxed) relaxed.push({ ...relaxation, tool: source.tool, param: source.param });
  return lowered.schema;
}

function isAny(schema: SchemaObject): boolean {
  return Object.keys(schema).length === 0;
}

function refuseStrict({ param }: Source, { path, keyword, reason }: Relaxation): AppError {
  const message = `\`${param}${path}\`: \`${keyword}\` can't be guaranteed, as \`strict\` asks for: ${reason}`;
  const hint = "Leave out the keyword or `strict`: what the grammar can't keep is then checked after the answer.";
  return new AppError({ code: "not_supported", message, hint, param });
}
