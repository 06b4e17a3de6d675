// Calls that are required come without any text beside them, whatever the model would rather write. The models here have
// random weights: text before a call would go on to the limit, and whoever asked for a call would have none.

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readJson } from "../support/http-app.ts";
import { CAN_ASK, startSchemaServer } from "../support/schema-answers.ts";

const FOLDER = join(import.meta.dir, "../../vendor/llama.cpp/models/templates");

/** Knows no tools: they are described, and calls are written as we say. */
const CHATML =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Those that think first may spend all tokens on that: `calls` false. */
const FAMILIES: [template: string, calls: boolean][] = [
  ["ChatML without tools", true],
  ["Qwen3-Coder", true],
  ["microsoft-Phi-3.5-mini-instruct", true],
  ["google-gemma-2-2b-it", true],
  ["meta-llama-Llama-3.1-8B-Instruct", true],
  ["Qwen-Qwen2.5-7B-Instruct", true],
  ["NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", true],
  ["NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", false],
  ["StepFun3.5-Flash", false],
  ["inclusionai-ling-3.0-flash", false],
];
const SEEDS = 3;
const TIMEOUT_MS = 120_000;

const tool = (name: string) => ({
  type: "function",
  function: {
    name,
    parameters: {
      type: "object",
      properties: { n: { type: "boolean" } },
      required: ["n"],
      additionalProperties: false,
    },
  },
});

const CHOICES = ["required", { type: "function", function: { name: "g" } }] as const;

describe.skipIf(!CAN_ASK)("required calls stand alone", () => {
  test.each(FAMILIES)(
    "%s",
    async (template, calls) => {
      const file = join(FOLDER, `${template}.jinja`);
      const server = await startSchemaServer({
        likely: {},
        words: ["</think>"],
        fields: {},
        end: 1,
        temperature: 1,
        tokensMax: 400,
        template: existsSync(file) ? readFileSync(file, "utf8") : CHATML,
      });
      try {
        for (const tool_choice of CHOICES) {
          for (let seed = 0; seed < SEEDS; seed++) {
            const body = {
              tools: [tool("f"), tool("g")],
              tool_choice,
              seed,
              max_tokens: 400,
              parallel_tool_calls: false,
            };
            const response = await server.post({ messages: [{ role: "user", content: "Go." }], ...body });
            const reply = await readJson(response);
            expect([response.status, reply.error]).toEqual([200, undefined]);
            const { message, finish_reason } = reply.choices[0];
            expect(message.content ?? "").toBe("");
            if (!calls) continue;
            expect(finish_reason).toBe("tool_calls");
            expect(message.tool_calls.length).toBe(1);
            if (tool_choice !== "required") expect(message.tool_calls[0].function.name).toBe("g");
            expect(JSON.parse(message.tool_calls[0].function.arguments)).toEqual({ n: expect.any(Boolean) });
          }
        }
      } finally {
        await server.stop();
      }
    },
    TIMEOUT_MS,
  );
});
