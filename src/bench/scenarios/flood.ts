// Many short requests at once: streams by the hundred, and whole answers as fast as they go.

import { complete, stream, type Target } from "../client.ts";
import { type Figures, ratioAtLeast, ratioAtMost, type Scenario, valueAtLeast } from "../scenario.ts";
import { medianFirstTokenMs, type StreamRecord } from "../timing.ts";
import { makeText } from "../words.ts";

/** Also the least number of connections that the client must be able to hold (commands/bench.ts). */
export const FLOOD_STREAMS = 512;
const FLOOD_WORDS = 12;
const FLOOD_TOKENS = 4;

export const FLOOD: Scenario = {
  name: "flood",
  summary: `${FLOOD_STREAMS} streams of ${FLOOD_TOKENS} tokens at the same moment`,
  metrics: [
    { key: "complete", label: "complete", unit: "requests", better: "more", goal: valueAtLeast(FLOOD_STREAMS) },
    { key: "first", label: "median first token", unit: "ms", better: "less", goal: ratioAtMost(0.6) },
    { key: "total", label: "total time", unit: "ms", better: "less" },
  ],
  async run(target, { seed }): Promise<Figures> {
    const startMs = performance.now();
    const outcomes = await Promise.all(
      Array.from({ length: FLOOD_STREAMS }, (_, i) => tryStream(target, makeText(`${seed}/${i}`, FLOOD_WORDS))),
    );
    const whole = outcomes.filter((record) => record !== null && record.arrivalsMs.length > 0) as StreamRecord[];
    return { complete: whole.length, first: medianFirstTokenMs(whole), total: performance.now() - startMs };
  },
};

/** A refused or broken stream is a result here: null. */
async function tryStream(target: Target, prompt: string): Promise<StreamRecord | null> {
  try {
    return await stream(target, { prompt, maxTokens: FLOOD_TOKENS });
  } catch (thrown) {
    if (!(thrown instanceof Error)) throw thrown;
    return null;
  }
}

/** Some ten seconds: in the first one or two a server still warms up. */
const REQUESTS = 4000;
const AT_ONCE = 16;
const REQUEST_WORDS = 8;
const REQUEST_TOKENS = 8;

export const REQUESTS_PER_SECOND: Scenario = {
  name: "requests-per-second",
  summary: `${REQUESTS} whole answers of ${REQUEST_TOKENS} tokens, ${AT_ONCE} at a time`,
  metrics: [{ key: "rate", label: "answers", unit: "requests/s", better: "more", goal: ratioAtLeast(1.5) }],
  async run(target, { seed }): Promise<Figures> {
    const startMs = performance.now();
    let next = 0;
    const work = async (): Promise<void> => {
      for (let i = next++; i < REQUESTS; i = next++) {
        await complete(target, { prompt: makeText(`${seed}/${i}`, REQUEST_WORDS), maxTokens: REQUEST_TOKENS });
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return { rate: (REQUESTS * 1000) / (performance.now() - startMs) };
  },
};
