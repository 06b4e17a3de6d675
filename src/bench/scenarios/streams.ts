// One stream, and eight at once with different prompts: how fast tokens come.

import { stream, type Target } from "../client.ts";
import { type Figures, type Round, ratioAtLeast, type Scenario } from "../scenario.ts";
import { breakDown, readStepSums } from "../step-times.ts";
import { decodeRate, overlapRate, type StreamRecord, totalRate } from "../timing.ts";
import { makeText } from "../words.ts";

const SINGLE = { promptWords: 64, maxTokens: 256 };
const EIGHT = { streams: 8, promptWords: 24, maxTokens: 192 };

export const SINGLE_STREAM: Scenario = {
  name: "single-stream",
  summary: `one stream: ${SINGLE.maxTokens} tokens after a prompt of ${SINGLE.promptWords} words`,
  metrics: [{ key: "rate", label: "decode", unit: "tokens/s", better: "more", goal: ratioAtLeast(0.98, 1) }],
  async run(target, { seed }): Promise<Figures> {
    const record = await stream(target, { prompt: makeText(seed, SINGLE.promptWords), maxTokens: SINGLE.maxTokens });
    return { rate: decodeRate(record) };
  },
};

export const EIGHT_STREAMS: Scenario = {
  name: "eight-streams",
  summary: `${EIGHT.streams} streams at once, ${EIGHT.maxTokens} tokens each, different prompts of ${EIGHT.promptWords} words`,
  metrics: [
    {
      key: "rate",
      label: "all tokens over all time",
      unit: "tokens/s",
      better: "more",
      goal: ratioAtLeast(1.03, 1.15),
    },
    { key: "overlap", label: "while all of them decode", unit: "tokens/s", better: "more" },
    { key: "computeMs", label: "a step: computing", unit: "ms", better: "less" },
    { key: "sampleMs", label: "a step: sampling", unit: "ms", better: "less" },
    { key: "otherMs", label: "a step: planning, text, events", unit: "ms", better: "less" },
    { key: "betweenMs", label: "between steps", unit: "ms", better: "less" },
  ],
  async run(target, round): Promise<Figures> {
    const before = await readStepSums(target);
    const startMs = performance.now();
    const records = await streamTogether(target, round, EIGHT.streams, EIGHT);
    const wallMs = performance.now() - startMs;
    const steps = breakDown(before, await readStepSums(target), wallMs);
    return { rate: totalRate(records), overlap: overlapRate(records), ...steps };
  },
};

/** `count` streams that start at once, each with a prompt of its own. */
export async function streamTogether(
  target: Target,
  { seed }: Pick<Round, "seed">,
  count: number,
  size: { promptWords: number; maxTokens: number },
): Promise<StreamRecord[]> {
  const questions = Array.from({ length: count }, (_, i) => ({
    prompt: makeText(`${seed}/${i}`, size.promptWords),
    maxTokens: size.maxTokens,
  }));
  return await Promise.all(questions.map((question) => stream(target, question)));
}
