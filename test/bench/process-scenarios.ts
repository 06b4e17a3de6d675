// Scenarios that need more than a URL: they start servers, kill them, and look at their memory. One file each for the
// longer ones; here is what they share, and those that are short.

import { complete, resolveTarget, stream, type Target } from "../../src/bench/client.ts";
import { type Figures, ratioAtMost, type Scenario, valueAtMost } from "../../src/bench/scenario.ts";
import { streamTogether } from "../../src/bench/scenarios/streams.ts";
import { makeText } from "../../src/bench/words.ts";
import { readRssAnonMb } from "./memory.ts";
import { type Launcher, type RunningServer, type ServerSettings, useHome } from "./servers.ts";

/** A kind of server with the settings of one scenario. */
export interface Startable {
  launcher: Launcher;
  settings: ServerSettings;
}

/** The server started in the home, its target, and one short answer taken: the model is loaded. */
export async function startWarm(
  { launcher, settings }: Startable,
  home: string,
): Promise<{ server: RunningServer; target: Target; firstAnswerMs: number }> {
  const startMs = performance.now();
  const server = await launcher.start(settings, home);
  try {
    const target = await resolveTarget(server.url, null, null);
    await complete(target, { prompt: "Good morning.", maxTokens: 1 });
    return { server, target, firstAnswerMs: performance.now() - startMs };
  } catch (thrown) {
    await server.stop();
    throw thrown;
  }
}

const PROMPT = { promptWords: 512, maxTokens: 32 };

export const START_AND_MEMORY: Scenario<Startable> = {
  name: "start-and-memory",
  summary: `start with the model in the page cache; memory after a prompt of ${PROMPT.promptWords} words`,
  metrics: [
    { key: "ready", label: "start to ready", unit: "ms", better: "less", goal: ratioAtMost(1.05) },
    {
      key: "answer",
      label: "start to the first answer, model loaded",
      unit: "ms",
      better: "less",
      goal: ratioAtMost(1.05),
    },
    { key: "memory", label: "RssAnon at equal context", unit: "MB", better: "less", goal: ratioAtMost(1.05) },
  ],
  async run(startable, { seed }): Promise<Figures> {
    return await useHome(async (home) => {
      const { server, target, firstAnswerMs } = await startWarm(startable, home);
      try {
        await stream(target, { prompt: makeText(seed, PROMPT.promptWords), maxTokens: PROMPT.maxTokens });
        return { ready: server.readyMs, answer: firstAnswerMs, memory: readRssAnonMb(server.pid) };
      } finally {
        await server.stop();
      }
    });
  },
};

const MEMORY_REQUESTS = { first: 500, all: 2000 };
const AT_ONCE = 8;
const SHORT = { promptWords: 32, maxTokens: 8 };
/** What the allocator and the garbage collector may add between the two. */
const GROWTH_MB_MAX = 8;

export const GROWTH_MEMORY: Scenario<Startable> = {
  name: "growth-memory",
  summary: `RssAnon over ${MEMORY_REQUESTS.all} short streams, ${AT_ONCE} at a time, tiny model`,
  metrics: [
    { key: "first", label: `after ${MEMORY_REQUESTS.first}`, unit: "MB", better: "less" },
    {
      key: "growth",
      label: `more after ${MEMORY_REQUESTS.all}`,
      unit: "MB",
      better: "less",
      goal: valueAtMost(GROWTH_MB_MAX),
    },
  ],
  async run(startable, { seed }): Promise<Figures> {
    return await useHome(async (home) => {
      const { server, target } = await startWarm(startable, home);
      try {
        let first: number | null = null;
        for (let done = 0; done < MEMORY_REQUESTS.all; done += AT_ONCE) {
          if (first === null && done >= MEMORY_REQUESTS.first) first = readRssAnonMb(server.pid);
          await streamTogether(target, { seed: `${seed}/${done}` }, AT_ONCE, SHORT);
        }
        const last = readRssAnonMb(server.pid);
        return { first, growth: first === null || last === null ? null : last - first };
      } finally {
        await server.stop();
      }
    });
  },
};
