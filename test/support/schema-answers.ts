// Asks a real server for answers that follow schemas, as a tool's arguments and as the answer itself, and judges them:
// Ajv by the schema as it came, and what was relaxed by what the server says of it. The model has random weights, biased
// towards what ends a JSON text.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { NativeModel } from "../../src/ffi/model.ts";
import { lowerSchema } from "../../src/protocol/schema/lower.ts";
import { ENDLESS, judgeByAjv } from "./ajv-judge.ts";
import { cacheModel } from "./gguf-builder.ts";
import { type Json, readJson } from "./http-app.ts";
import { HAS_NATIVE, openLlama } from "./llama-library.ts";
import { TINY_SPEC } from "./model-specs.ts";
import { type Server, startServer } from "./server.ts";
import { changeTokens } from "./tokenizers.ts";

const TEMPLATE = join(import.meta.dir, "../../vendor/llama.cpp/models/templates/meetkai-functionary-medium-v3.2.jinja");
export const CAN_ASK = HAS_NATIVE && existsSync(TEMPLATE);

/** Requests at once. */
const LANES = 8;
/** An answer of two thousand tokens takes a minute among seven others on a busy machine: what takes this long hangs. */
const HANG_MS = 300_000;
/** What a list of faults shows of each. */
const FAULT_CHARS_MAX = 1500;
const SCHEMA_CHARS_MAX = 5000;
/** Grammars allow any number of spaces; in this template's format `all` begins a text before the call. */
const RARE = ["\n", "\t", " ", "\r", "  ", "a", "al", "all"];
const RARE_BIAS = -20;

export const KINDS = ["tool", "answer"] as const;
export type Kind = (typeof KINDS)[number];

export interface Question {
  kind: Kind;
  schema: unknown;
  seed: number;
  isStrict?: boolean;
}

export interface Outcome {
  /** `refused` is a 400 that names the schema. */
  finish: string;
  /** What is wrong. Null where nothing is, or where the answer was cut off. */
  fault: string | null;
}

export interface SchemaServer {
  ask(question: Question): Promise<Outcome>;
  post(body: object): Promise<Response>;
  stop(): Promise<void>;
}

export interface SchemaServerOptions {
  /** How much likelier than others tokens of these texts are. */
  likely: Readonly<Record<string, number>>;
  /** The same for the end. */
  end: number;
  temperature: number;
  tokensMax: number;
  /** A chat template's text. Default: one whose calls hold JSON. */
  template?: string;
  /** Texts that are one token each, in place of the vocabulary's last ones. */
  words?: readonly string[];
  /** Further fields of each request. */
  fields?: object;
}

export async function startSchemaServer(options: SchemaServerOptions): Promise<SchemaServer> {
  const chatTemplate = options.template ?? readFileSync(TEMPLATE, "utf8");
  const words = options.words ?? [];
  const path = cacheModel({
    ...TINY_SPEC,
    contextLength: 65_536,
    chatTemplate,
    ...(words.length === 0 ? {} : { tokenizerChanges: changeTokens(TINY_SPEC.tokenizer, words) }),
  });
  const bias = await readBias(path, options);
  const server: Server = await startServer({
    args: ["--model", path, "--ctx", "65536", "--parallel", String(LANES)],
  });
  const post = (body: object): Promise<Response> =>
    fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({
        max_tokens: options.tokensMax,
        temperature: options.temperature,
        logit_bias: bias,
        // A random model says the same for ever once it has begun to.
        repeat_penalty: 1.3,
        repeat_last_n: 8,
        ...options.fields,
        ...body,
      }),
      signal: AbortSignal.timeout(HANG_MS),
    });
  return {
    post,
    stop: () => server.stop(),
    ask: async (question) => judgeReply(question, await post(describeQuestion(question))),
  };
}

async function readBias(path: string, { likely, end }: SchemaServerOptions): Promise<Record<string, number>> {
  const { library } = await openLlama();
  using job = NativeModel.load(library, path, { gpuLayers: 0 });
  while (job.poll().kind === "running") Bun.sleepSync(1);
  using model = job.take();
  const biases: Record<string, number> = {};
  const { vocabularySize } = model.facts();
  for (let token = 0; token < vocabularySize; token++) {
    const text = Buffer.from(model.tokenBytes(token, true)).toString();
    if (model.isEnd(token)) biases[token] = end;
    else if (Object.hasOwn(likely, text)) biases[token] = likely[text] ?? 0;
    else if (RARE.includes(text)) biases[token] = RARE_BIAS;
  }
  return biases;
}

function describeQuestion({ kind, schema, seed, isStrict: strict = false }: Question): object {
  const about =
    kind === "tool"
      ? { tools: [{ type: "function", function: { name: "f", parameters: schema, strict } }], tool_choice: "required" }
      : { response_format: { type: "json_schema", json_schema: { name: "a", schema, strict } } };
  return { messages: [{ role: "user", content: "Write it." }], seed, ...about };
}

async function judgeReply(question: Question, response: Response): Promise<Outcome> {
  const reply = await readJson(response);
  const { kind, isStrict = false } = question;
  const param = kind === "tool" ? "tools[0].function.parameters" : "response_format.json_schema.schema";
  if (isStrict && response.status === 400 && reply.error?.code === "not_supported" && reply.error.param === param) {
    return { finish: "refused", fault: null };
  }
  if (response.status !== 200) return { finish: "error", fault: `${response.status}: ${JSON.stringify(reply)}` };
  const { message, finish_reason: finish } = reply.choices[0];
  if (finish === "length") return { finish, fault: null };
  const text: string = kind === "tool" ? message.tool_calls?.[0]?.function.arguments : message.content;
  return { finish, fault: findFault(question, text, reply.mlo.warnings ?? []) };
}

function findFault({ kind, schema, isStrict }: Question, text: string, warnings: readonly Json[]): string | null {
  const said = `${text} with ${JSON.stringify(warnings)}`;
  const hasWarning = (code: string) => warnings.some((warning) => warning.code === code);
  const { relaxed } = lowerSchema(schema, { onlyObjects: kind === "tool" });
  if (isStrict && (relaxed.length > 0 || warnings.length > 0)) return `not kept under strict: ${said}`;
  if (hasWarning("schema_relaxed") !== relaxed.length > 0) return `what is relaxed is not said: ${said}`;
  // Of large numbers Ajv looks at the digits before the exponent.
  const misjudges = (fault: string) => /[eE]\d/.test(text) && fault.includes('"multipleOf"');
  const found = judgeByAjv(schema)?.(JSON.parse(text)) ?? null;
  const breaks = found !== null && misjudges(found) ? null : found;
  if (breaks === null || breaks === ENDLESS) return null;
  if (relaxed.length === 0) return `${breaks}: ${said}`;
  return hasWarning("schema_mismatch") || hasWarning("schema_unchecked")
    ? null
    : `${breaks} without a warning: ${said}`;
}

export interface Tally {
  /** By finish reason: the names of the cases. */
  finishes: Record<string, string[]>;
  faults: string[];
}

/** Asks several at once. What goes wrong with one, a time-out too, is its fault and keeps no other from being asked. */
export async function askAll(server: SchemaServer, cases: readonly [name: string, Question][]): Promise<Tally> {
  const tally: Tally = { finishes: {}, faults: [] };
  const open = [...cases];
  const work = async (): Promise<void> => {
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const [name, question] = next;
      const started = performance.now();
      const { finish, fault } = await server.ask(question).catch((thrown: unknown): Outcome => {
        const took = `after ${Math.round(performance.now() - started)} ms`;
        return { finish: "error", fault: `${thrown instanceof Error ? thrown.name : "error"} ${took}: ${thrown}` };
      });
      tally.finishes[finish] = [...(tally.finishes[finish] ?? []), name];
      if (fault !== null) tally.faults.push(describeFault(name, question, fault));
    }
  };
  await Promise.all(Array.from({ length: LANES }, work));
  return tally;
}

/** With all that it takes to ask again. */
function describeFault(name: string, { kind, schema, isStrict: strict = false }: Question, fault: string): string {
  const asked = `${kind}${strict ? ", strict" : ""}, ${JSON.stringify(schema).slice(0, SCHEMA_CHARS_MAX)}`;
  return `${name} (${asked}): ${fault.slice(0, FAULT_CHARS_MAX)}`;
}

/** How many ended how. */
export function countFinishes({ finishes }: Tally): Record<string, number> {
  return Object.fromEntries(Object.entries(finishes).map(([finish, names]) => [finish, names.length]));
}
