// How cost grows: with streams at once, with the length of a prompt, with conversations that came before.

import { stream } from "../client.ts";
import type { Figures, Metric, Scenario } from "../scenario.ts";
import { decodeRate, firstTokenMs, totalRate } from "../timing.ts";
import { makeText } from "../words.ts";
import { streamTogether } from "./streams.ts";

const STREAMS = [1, 2, 4, 8, 16, 32, 64];
const STREAM_SIZE = { promptWords: 16, maxTokens: 32 };

export const GROWTH_STREAMS: Scenario = {
  name: "growth-streams",
  summary: `1 to ${STREAMS.at(-1)} streams of ${STREAM_SIZE.maxTokens} tokens at once`,
  metrics: STREAMS.map((count) => rate(`streams_${count}`, `${count} streams: all tokens over all time`)),
  async run(target, { seed }): Promise<Figures> {
    const figures: Record<string, number | null> = {};
    for (const count of STREAMS) {
      const records = await streamTogether(target, { seed: `${seed}/${count}` }, count, STREAM_SIZE);
      figures[`streams_${count}`] = totalRate(records);
    }
    return figures;
  },
};

/** The last one fits into 32,768 cells with its template and its answer. */
const PROMPT_WORDS = [1024, 2048, 4096, 8192, 16_384, 32_000];
const PROMPT_TOKENS = 32;

export const GROWTH_PROMPTS: Scenario = {
  name: "growth-prompts",
  summary: `prompts of ${PROMPT_WORDS[0]} to ${PROMPT_WORDS.at(-1)} words`,
  metrics: PROMPT_WORDS.flatMap((words): Metric[] => [
    { key: `first_${words}`, label: `${words} words: first token`, unit: "ms", better: "less" },
    rate(`rate_${words}`, `${words} words: decode behind it`),
  ]),
  async run(target, { seed }): Promise<Figures> {
    const figures: Record<string, number | null> = {};
    for (const words of PROMPT_WORDS) {
      const record = await stream(target, { prompt: makeText(`${seed}/${words}`, words), maxTokens: PROMPT_TOKENS });
      figures[`first_${words}`] = firstTokenMs(record);
      figures[`rate_${words}`] = decodeRate(record);
    }
    return figures;
  },
};

const CONVERSATIONS = [1, 4, 16, 64];
const CONVERSATION = { promptWords: 200, maxTokens: 8 };
const OBSERVED = { promptWords: 64, maxTokens: 96 };

export const GROWTH_RETAINED: Scenario = {
  name: "growth-retained",
  summary: `one stream after 1 to ${CONVERSATIONS.at(-1)} other conversations of ${CONVERSATION.promptWords} words`,
  metrics: CONVERSATIONS.map((count) => rate(`after_${count}`, `after ${count} conversations: decode`)),
  async run(target, { seed }): Promise<Figures> {
    const figures: Record<string, number | null> = {};
    let held = 0;
    for (const count of CONVERSATIONS) {
      for (; held < count; held++) await streamTogether(target, { seed: `${seed}/held/${held}` }, 1, CONVERSATION);
      const prompt = makeText(`${seed}/observed/${count}`, OBSERVED.promptWords);
      figures[`after_${count}`] = decodeRate(await stream(target, { prompt, maxTokens: OBSERVED.maxTokens }));
    }
    return figures;
  },
};

function rate(key: string, label: string): Metric {
  return { key, label, unit: "tokens/s", better: "more" };
}
