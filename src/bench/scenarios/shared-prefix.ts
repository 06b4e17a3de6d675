// Several requests with the same long system prompt at once: is it read once, or once for each?

import { stream } from "../client.ts";
import { type Figures, ratioAtMost, type Scenario } from "../scenario.ts";
import { medianFirstTokenMs } from "../timing.ts";
import { makeText } from "../words.ts";

const REQUESTS = 8;
const PREFIX_WORDS = 1500;
const TAIL_WORDS = 24;
const MAX_TOKENS = 32;

export const SHARED_PREFIX: Scenario = {
  name: "shared-prefix",
  summary: `${REQUESTS} requests at once with one system prompt of ${PREFIX_WORDS} words and different questions`,
  metrics: [
    { key: "total", label: "total time", unit: "ms", better: "less", goal: ratioAtMost(0.25) },
    { key: "first", label: "median first token", unit: "ms", better: "less", goal: ratioAtMost(0.3) },
    { key: "evaluated", label: "prompt tokens evaluated", unit: "tokens", better: "less" },
  ],
  async run(target, { seed }): Promise<Figures> {
    const system = makeText(`${seed}/system`, PREFIX_WORDS);
    const records = await Promise.all(
      Array.from({ length: REQUESTS }, (_, i) =>
        stream(target, {
          prompt: [
            { role: "system", content: system },
            { role: "user", content: makeText(`${seed}/${i}`, TAIL_WORDS) },
          ],
          maxTokens: MAX_TOKENS,
        }),
      ),
    );
    const evaluated = records.map((record) => record.evaluatedTokens);
    return {
      total: Math.max(...records.map((record) => record.endMs)) - Math.min(...records.map((record) => record.sentMs)),
      first: medianFirstTokenMs(records),
      evaluated: evaluated.some((count) => count === null)
        ? null
        : evaluated.reduce<number>((sum, count) => sum + (count ?? 0), 0),
    };
  },
};
