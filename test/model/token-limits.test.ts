// Limits that the sampler keeps: no end before `min_tokens`, and no reasoning beyond its budget.

import { expect, test } from "bun:test";
import type { SamplingParams } from "../../src/protocol/generation.ts";
import { DrivenEngine, type Story } from "../support/engine-run.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, loadDemo } from "../support/llama-library.ts";
import { QWEN3_SPEC } from "../support/model-specs.ts";

/** Ends with the tag alone: after a line break a tokenizer that does not know the tag would cut it in another way. */
const THINKING_TEMPLATE = `{% for message in messages %}<|im_start|>{{ message.role }}
{% if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
<think>{% endif %}`;

async function answer(sampling: SamplingParams, content: string, modelPath?: string): Promise<Story> {
  using backend = await loadDemo(modelPath === undefined ? {} : { modelPath });
  using run = new DrivenEngine(backend);
  const prompt = { kind: "chat" as const, messages: [{ role: "user", content }] };
  run.generate(1, { prompt, sampling: { temperature: 0, ...sampling }, stop: [], maxTokens: 60 });
  run.finish();
  return run.story(1);
}

const tokensOf = ({ end }: Story): number => (end?.type === "done" ? end.usage.completionTokens : -1);

test.skipIf(!HAS_NATIVE)("a generation does not end before its least length", async () => {
  const free = await answer({}, "Say hello in one sentence");
  const least = tokensOf(free) + 12;
  expect(tokensOf(free)).toBeLessThan(40);
  const longer = await answer({ minTokens: least }, "Say hello in one sentence");
  expect(tokensOf(longer)).toBeGreaterThanOrEqual(least);
  expect(longer.text.startsWith(free.text)).toBe(true);
  expect(tokensOf(await answer({ minTokens: least, topK: 20, temperature: 0.1, seed: 1 }, "Hello"))).toBeGreaterThan(
    least - 1,
  );
});

test.skipIf(!HAS_NATIVE)("reasoning ends when its budget is spent", async () => {
  const model = cacheModel({ ...QWEN3_SPEC, chatTemplate: THINKING_TEMPLATE });
  const reasoningOf = ({ events }: Story): string =>
    events.map((event) => (event.type === "delta" ? (event.reasoning ?? "") : "")).join("");
  const thinking = await answer({ ignoreEos: true }, "Why?", model);
  const limited = await answer({ ignoreEos: true, reasoningBudgetTokens: 6 }, "Why?", model);
  // Random weights never stop to reason by themselves.
  expect(thinking.text).toBe("");
  expect(reasoningOf(limited).length).toBeGreaterThan(0);
  expect(reasoningOf(limited).length).toBeLessThan(reasoningOf(thinking).length / 2);
  expect(limited.text.length).toBeGreaterThan(0);
});
