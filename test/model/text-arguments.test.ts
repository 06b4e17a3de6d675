// Templates of each family that does not write a call's arguments as one JSON value, and of those that know no tools: under
// `strict` a call's arguments match their schema, or the request is refused with the path. Random weights, likely to close.

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readJson } from "../support/http-app.ts";
import { askAll, CAN_ASK, type Question, type SchemaServer, startSchemaServer } from "../support/schema-answers.ts";

const FOLDER = join(import.meta.dir, "../../vendor/llama.cpp/models/templates");
const LIKELY = {
  ...Object.fromEntries(["</", "/", '"', '"}'].map((text) => [text, 80])),
  ...Object.fromEntries([">", "-", ":", "m", "a", "}", "]", "0", "1"].map((text) => [text, 55])),
};
const TOKENS_MAX = 150;
const SEEDS = 1;
const TIMEOUT_MS = 120_000;

const CHATML =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
const TAG = "<tool_call>";
/**
 * `starts` is what begins calls: one token of the model, and its likeliest. Null: a model of random weights does not get
 * through the thoughts before it, so only refusals are tried.
 */
const FAMILIES: [name: string, format: "text" | "nested" | "loose" | "json", starts: string | null][] = [
  ["ByteDance-Seed-OSS", "text", null],
  ["GLM-4.6", "text", TAG],
  ["MiniMax-M2", "text", null],
  ["NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "text", null],
  ["Qwen3-Coder", "text", TAG],
  ["StepFun3.5-Flash", "text", null],
  ["deepseek-ai-DeepSeek-V3.2", "text", "<｜DSML｜function_calls>"],
  ["inclusionai-ling-3.0-flash", "text", null],
  ["poolside-Laguna-S-2.1", "text", TAG],
  ["MiniMax-M3", "nested", "]<]minimax[>[<tool_call>"],
  ["Kimi-K3", "loose", null],
  ["LFM2-8B-A1B", "loose", null],
  ["google-gemma-4-31B-it", "loose", null],
  ["muse-glimmer", "loose", null],
  ["openbmb-MiniCPM5-1B", "loose", null],
  ["ChatML without tools", "json", TAG],
  ["microsoft-Phi-3.5-mini-instruct", "json", TAG],
  ["google-gemma-2-2b-it", "json", TAG],
];
/** Ends thoughts that the prompt begins. */
const THOUGHT_END = "</think>";

const one = (property: object) => ({
  type: "object",
  properties: { p: property },
  required: ["p"],
  additionalProperties: false,
});
const LISTED = { type: "string", enum: ["metres", "km/h", "a b"] };
const HELD: Record<string, object> = {
  listed: one(LISTED),
  "listed or null": one({ anyOf: [LISTED, { type: "null" }] }),
  "listed, null among them": one({ enum: ["m", null] }),
  pattern: one({ type: "string", pattern: "^[a-c]{2,4}-(0|1)?$" }),
  date: one({ type: "string", format: "date" }),
  bounds: one({ type: "integer", minimum: 3, maximum: 11 }),
  within: one({ type: "object", properties: { q: LISTED }, required: ["q"], additionalProperties: false }),
  two: { type: "object", properties: { a: LISTED, b: { type: "boolean" } }, required: ["a", "b"] },
};
const LOST: Record<string, object> = {
  length: one({ type: "string", minLength: 3 }),
  anywhere: one({ type: "string", pattern: "zz" }),
  either: one({ type: ["string", "integer"], pattern: "^[0-9]{2}$" }),
};

const readTemplate = (name: string): string => {
  const file = join(FOLDER, `${name}.jinja`);
  return existsSync(file) ? readFileSync(file, "utf8") : CHATML;
};

const ask = (schemas: Record<string, object>): [string, Question][] =>
  Object.entries(schemas).flatMap(([name, schema]) =>
    Array.from({ length: SEEDS }, (_, seed): [string, Question] => {
      return [`${name} ${seed}`, { kind: "tool", schema, seed, isStrict: true }];
    }),
  );

/** Asks for a short call of one tool. */
const requireCall = (parameters: object | undefined) => ({
  messages: [{ role: "user", content: "Go." }],
  tools: [{ type: "function", function: { name: "f", parameters } }],
  tool_choice: "required",
  max_tokens: 4,
});

async function withServer(
  template: string,
  run: (server: SchemaServer) => Promise<void>,
  starts: string | null = null,
): Promise<void> {
  const server = await startSchemaServer({
    likely: { ...LIKELY, [starts ?? TAG]: 100, [THOUGHT_END]: 90 },
    words: [starts ?? TAG, THOUGHT_END],
    fields: { parallel_tool_calls: false },
    end: 80,
    temperature: 2,
    tokensMax: TOKENS_MAX,
    template: readTemplate(template),
  });
  try {
    await run(server);
  } finally {
    await server.stop();
  }
}

describe.skipIf(!CAN_ASK)("arguments under `strict`", () => {
  test.each(FAMILIES)(
    "%s, whose arguments are %s",
    async (template, format, starts) => {
      await withServer(
        template,
        async (server) => {
          const refuses = format === "loose";
          const held = await askAll(server, starts === null && !refuses ? [] : ask(HELD));
          const lost = await askAll(server, ask(LOST));
          const [asked, hard] = [Object.keys(HELD).length * SEEDS, Object.keys(LOST).length * SEEDS];
          expect([...held.faults, ...lost.faults]).toEqual([]);
          expect(held.finishes.refused?.length ?? 0).toBe(refuses ? asked : 0);
          expect(lost.finishes.refused?.length ?? 0).toBe(format === "json" ? 0 : hard);
          // What is cut off can't be judged: most of it has to end.
          if (starts !== null) expect(held.finishes.tool_calls?.length ?? 0).toBeGreaterThan(asked / 2);
        },
        starts,
      );
    },
    TIMEOUT_MS,
  );

  test(
    "without it the header names what is not held",
    () =>
      withServer("Qwen3-Coder", async (server) => {
        const body = requireCall(LOST.length);
        const response = await server.post(body);
        expect(response.status).toBe(200);
        expect(response.headers.get("X-MLO-Relaxed")).toBe("f#/properties/p (minLength)");
        expect((await readJson(response)).mlo.warnings).toMatchObject([{ code: "schema_relaxed", tool: "f" }]);
      }),
    TIMEOUT_MS,
  );

  test(
    "a format of calls that nobody knows can't be required",
    () =>
      withServer("ibm-granite-granite-3.3-2B-Instruct", async (server) => {
        const body = requireCall(HELD.listed);
        const response = await server.post(body);
        expect(response.status).toBe(400);
        expect((await readJson(response)).error.message).toContain("none can be required");
        expect((await server.post({ ...body, tool_choice: "auto" })).status).toBe(200);
      }),
    TIMEOUT_MS,
  );
});
