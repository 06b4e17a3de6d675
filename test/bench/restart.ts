// A long conversation, `kill -9`, a restart in the same home, and the conversation goes on: what does its next token cost?

import { type ChatTurn, stream } from "../../src/bench/client.ts";
import { type Figures, ratioAtMost, type Scenario } from "../../src/bench/scenario.ts";
import { firstTokenMs } from "../../src/bench/timing.ts";
import { makeText } from "../../src/bench/words.ts";
import { type Startable, startWarm } from "./process-scenarios.ts";
import { useHome } from "./servers.ts";

/** Together about 8,000 tokens. */
const SYSTEM_WORDS = 1000;
const EXCHANGES = 7;
const QUESTION_WORDS = 400;
const ANSWER_WORDS = 580;
const LAST_WORDS = 60;
const MAX_TOKENS = 32;

/** Writing goes on behind serving, in slices; a gigabyte of state takes seconds. */
const DURABLE_MS_MAX = 120_000;

interface CacheList {
  entries?: { state?: string; tokens?: number }[];
}

export const RESTART: Scenario<Startable> = {
  name: "restart",
  summary: "a conversation of 8,000 words goes on after kill -9 and a restart",
  metrics: [
    { key: "first", label: "first token", unit: "ms", better: "less", goal: ratioAtMost(0.1) },
    { key: "evaluated", label: "prompt tokens evaluated", unit: "tokens", better: "less" },
    { key: "durable", label: "until its state was on disk", unit: "ms", better: "less" },
  ],
  async run(startable, { seed }): Promise<Figures> {
    return await useHome(async (home) => {
      const turns = makeConversation(seed);
      const before = await startWarm(startable, home);
      let durable: number | null;
      try {
        const answer = await stream(before.target, { prompt: turns, maxTokens: MAX_TOKENS });
        turns.push({ role: "assistant", content: answer.text });
        durable = await waitUntilDurable(before.target.url, answer.promptTokens ?? 0);
      } finally {
        await before.server.kill();
      }
      turns.push({ role: "user", content: makeText(`${seed}/next`, LAST_WORDS) });
      const after = await startWarm(startable, home);
      try {
        const answer = await stream(after.target, { prompt: turns, maxTokens: MAX_TOKENS });
        return { first: firstTokenMs(answer), evaluated: answer.evaluatedTokens, durable };
      } finally {
        await after.server.stop();
      }
    });
  },
};

function makeConversation(seed: string): ChatTurn[] {
  const turns: ChatTurn[] = [{ role: "system", content: makeText(`${seed}/system`, SYSTEM_WORDS) }];
  for (let i = 0; i < EXCHANGES; i++) {
    turns.push({ role: "user", content: makeText(`${seed}/question/${i}`, QUESTION_WORDS) });
    turns.push({ role: "assistant", content: makeText(`${seed}/answer/${i}`, ANSWER_WORDS) });
  }
  turns.push({ role: "user", content: makeText(`${seed}/last`, LAST_WORDS) });
  return turns;
}

/** How long it took until `/api/cache` says `disk` of so long an entry; null where the server has no such list. */
async function waitUntilDurable(url: string, tokens: number): Promise<number | null> {
  const startMs = performance.now();
  for (;;) {
    const response = await fetch(`${url}/api/cache`);
    if (!response.ok) return null;
    const { entries = [] } = (await response.json()) as CacheList;
    const elapsedMs = performance.now() - startMs;
    if (entries.some((entry) => entry.state === "disk" && (entry.tokens ?? 0) >= tokens)) return elapsedMs;
    if (elapsedMs > DURABLE_MS_MAX) throw new Error(`after ${DURABLE_MS_MAX} ms no entry is on disk`);
    await Bun.sleep(50);
  }
}
