// Any schema gives an answer, through llama.cpp and over HTTP, that Ajv accepts, or a warning names the path: as a tool's
// parameters and as the answer's own schema. The model has random weights, biased towards what ends a JSON text.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { NativeModel } from "../../src/ffi/model.ts";
import { lowerSchema } from "../../src/protocol/schema/lower.ts";
import { AGENT_SCHEMAS } from "../support/agent-schemas.ts";
import { ENDLESS, judgeByAjv } from "../support/ajv-judge.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { type Json, readJson } from "../support/http-app.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { TINY_SPEC } from "../support/model-specs.ts";
import { makeRandom } from "../support/random.ts";
import { makeSchema } from "../support/random-schemas.ts";
import { type Server, startServer } from "../support/server.ts";

const TEMPLATE = join(import.meta.dir, "../../vendor/llama.cpp/models/templates/meetkai-functionary-medium-v3.2.jinja");
const RUNS = HAS_NATIVE && existsSync(TEMPLATE);
const RANDOM_SCHEMAS = 60;
const TOKENS_MAX = 500;
/** Requests at once. */
const LANES = 8;
const ENDINGS = ['"', "}", "]", '"}', "0", "1"];
/** Grammars allow any number of spaces; in this template's format `all` begins a text before the call. */
const RARE = ["\n", "\t", " ", "\r", "  ", "a", "al", "all"];
const TIMEOUT_MS = 300_000;

type Kind = "tool" | "answer";

interface Outcome {
  finish: string;
  /** Null: it was cut off. */
  fault: string | null;
}

describe.skipIf(!RUNS)("any schema gives an answer", () => {
  let server: Server;
  let bias: Record<string, number>;

  beforeAll(async () => {
    const path = cacheModel({ ...TINY_SPEC, contextLength: 65_536, chatTemplate: readFileSync(TEMPLATE, "utf8") });
    const { library } = await openLlama();
    using job = NativeModel.load(library, path, { gpuLayers: 0 });
    while (job.poll().kind === "running") Bun.sleepSync(1);
    using model = job.take();
    bias = {};
    const { vocabularySize } = model.facts();
    for (let token = 0; token < vocabularySize; token++) {
      const text = Buffer.from(model.tokenBytes(token, true)).toString();
      if (ENDINGS.includes(text) || model.isEnd(token)) bias[token] = 10;
      else if (RARE.includes(text)) bias[token] = -20;
    }
    server = await startServer({ args: ["--model", path, "--ctx", "65536", "--parallel", String(LANES)] });
  }, TIMEOUT_MS);
  afterAll(() => server?.stop());

  async function ask(kind: Kind, schema: unknown, seed: number, strict = false): Promise<Response> {
    const about =
      kind === "tool"
        ? {
            tools: [{ type: "function", function: { name: "f", parameters: schema, strict } }],
            tool_choice: "required",
          }
        : { response_format: { type: "json_schema", json_schema: { name: "a", schema, strict } } };
    const body = {
      messages: [{ role: "user", content: "Write it." }],
      max_tokens: TOKENS_MAX,
      seed,
      temperature: 1,
      logit_bias: bias,
      ...about,
    };
    return fetch(`${server.url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(body) });
  }

  /** What is wrong with the answer to a schema. */
  async function findFault(kind: Kind, schema: unknown, seed: number): Promise<Outcome> {
    const response = await ask(kind, schema, seed);
    const reply = await readJson(response);
    if (response.status !== 200) return { finish: "error", fault: `${response.status}: ${JSON.stringify(reply)}` };
    const { message, finish_reason: finish } = reply.choices[0];
    if (finish === "length") return { finish, fault: null };
    const text: string = kind === "tool" ? message.tool_calls?.[0]?.function.arguments : message.content;
    const warnings: Json[] = reply.mlo.warnings ?? [];
    return { finish, fault: judge(kind, schema, text, warnings) };
  }

  function judge(kind: Kind, schema: unknown, text: string, warnings: readonly Json[]): string | null {
    const said = `${text} with ${JSON.stringify(warnings)}`;
    const hasWarning = (code: string) => warnings.some((warning) => warning.code === code);
    const { relaxed } = lowerSchema(schema, { onlyObjects: kind === "tool" });
    if (hasWarning("schema_relaxed") !== relaxed.length > 0) return `what is relaxed is not said: ${said}`;
    // Of large numbers Ajv looks at the digits before the exponent.
    const misjudges = (fault: string) => /[eE]\d/.test(text) && fault.includes('"multipleOf"');
    const found = judgeByAjv(schema)?.(JSON.parse(text)) ?? null;
    const breaks = found !== null && misjudges(found) ? null : found;
    if (relaxed.length === 0) return breaks === null || breaks === ENDLESS ? null : `${breaks}: ${said}`;
    const isWarned = hasWarning("schema_mismatch") || hasWarning("schema_unchecked");
    return breaks === null || breaks === ENDLESS || isWarned ? null : `${breaks} without a warning: ${said}`;
  }

  async function askAll(cases: readonly [name: string, schema: unknown][], kind: Kind): Promise<void> {
    const counts: Record<string, number> = {};
    const faults: string[] = [];
    const open = [...cases.entries()];
    const work = async () => {
      for (let next = open.pop(); next !== undefined; next = open.pop()) {
        const [seed, [name, schema]] = next;
        const { finish, fault } = await findFault(kind, schema, seed);
        counts[finish] = (counts[finish] ?? 0) + 1;
        if (fault !== null) faults.push(`${name}: ${fault}`.slice(0, 1500));
      }
    };
    await Promise.all(Array.from({ length: LANES }, work));
    console.log(`${kind}: ${JSON.stringify(counts)}`);
    expect(faults).toEqual([]);
    expect(counts.length ?? 0).toBeLessThan(cases.length / 4);
  }

  const random = Array.from({ length: RANDOM_SCHEMAS }, (_, seed): [string, unknown] => [
    `seed ${seed}`,
    makeSchema(makeRandom(seed + 5000)),
  ]);

  for (const kind of ["tool", "answer"] as const) {
    test(`agents' schemas, ${kind}`, () => askAll(Object.entries(AGENT_SCHEMAS), kind), TIMEOUT_MS);
    test(`random schemas, ${kind}`, () => askAll(random, kind), TIMEOUT_MS);
  }

  test(
    "under `strict` it is right or refused",
    async () => {
      for (const [seed, [, schema]] of random.slice(0, 30).entries()) {
        const response = await ask("answer", schema, seed, true);
        const reply = await readJson(response);
        if (response.status === 400) expect(reply.error.param).toBe("response_format.json_schema.schema");
        else expect([response.status, reply.mlo.warnings]).toEqual([200, undefined]);
      }
    },
    TIMEOUT_MS,
  );

  test(
    "two tools that refer to themselves keep their own definitions",
    async () => {
      const node = (name: string) => ({
        type: "object",
        properties: { [name]: { anyOf: [{ $ref: "#" }, { type: "null" }] } },
        required: [name],
        additionalProperties: false,
      });
      const tools = ["left", "right"].map((name) => ({
        type: "function",
        function: { name, parameters: node(name), strict: true },
      }));
      let ended = 0;
      for (let seed = 0; seed < 12; seed++) {
        const body = {
          messages: [{ role: "user", content: "Go." }],
          tools,
          tool_choice: "required",
          seed,
          temperature: 1,
          logit_bias: bias,
          max_tokens: 200,
        };
        const response = await fetch(`${server.url}/v1/chat/completions`, {
          method: "POST",
          body: JSON.stringify(body),
        });
        const reply = await readJson(response);
        expect(response.status).toBe(200);
        expect(reply.mlo.warnings).toBeUndefined();
        if (reply.choices[0].finish_reason === "tool_calls") ended++;
      }
      expect(ended).toBeGreaterThan(3);
    },
    TIMEOUT_MS,
  );
});
