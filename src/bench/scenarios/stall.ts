// A stream runs, and a long prompt arrives: how long does the stream stand still, and how long does the newcomer wait?

import { stream } from "../client.ts";
import { type Figures, ratioAtMost, type Scenario } from "../scenario.ts";
import { firstTokenMs, largestGapMs, listGaps, median } from "../timing.ts";
import { makeText } from "../words.ts";

const RUNNING_WORDS = 48;
/** More than it can make before the newcomer is answered, so that it does not end first. */
const RUNNING_TOKENS = 6000;
/** Chunks of the running stream before the prompt arrives: its own pace is known by then. */
const CHUNKS_BEFORE = 64;
const PROMPT_WORDS = 3000;

export const STALL: Scenario = {
  name: "stall",
  summary: `a stream runs and a prompt of ${PROMPT_WORDS} words arrives`,
  metrics: [
    { key: "gap", label: "the stream's largest gap until then", unit: "ms", better: "less", goal: ratioAtMost(0.05) },
    { key: "before", label: "its median gap before", unit: "ms", better: "less" },
    { key: "first", label: "the prompt's first token", unit: "ms", better: "less", goal: ratioAtMost(1.15) },
  ],
  async run(target, { seed }): Promise<Figures> {
    const stop = new AbortController();
    const started = Promise.withResolvers<void>();
    const running = stream(
      target,
      { prompt: makeText(`${seed}/running`, RUNNING_WORDS), maxTokens: RUNNING_TOKENS },
      stop.signal,
      (count) => count === CHUNKS_BEFORE && started.resolve(),
    );
    try {
      // A stream that fails or ends before its time must not leave us waiting.
      await Promise.race([started.promise, running]);
      const newcomer = await stream(target, { prompt: makeText(`${seed}/newcomer`, PROMPT_WORDS), maxTokens: 1 });
      stop.abort();
      const { arrivalsMs } = await running;
      const answeredMs = newcomer.arrivalsMs[0] ?? newcomer.endMs;
      const before = arrivalsMs.filter((time) => time <= newcomer.sentMs);
      return {
        gap: largestGapMs(arrivalsMs, newcomer.sentMs, answeredMs),
        before: median(listGaps(before)),
        first: firstTokenMs(newcomer),
      };
    } finally {
      stop.abort();
    }
  },
};
