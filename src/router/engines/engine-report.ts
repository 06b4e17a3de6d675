// Questions to a running engine that need not be answered: what it does, what it keeps, and to write that down. An
// engine that dies meanwhile, or is busy for too long, has nothing to say, and nobody waits for it.

import type { Clock } from "../../lib/clock.ts";
import type { CacheOverview, EngineReport } from "../inference.ts";
import type { EngineProcess } from "./engine-process.ts";
import { describeSlept, type SleptCache, type SleptState } from "./slept-cache.ts";

/** An engine answers between two steps, and a step of a large model may take seconds. */
const ANSWER_MS_MAX = 10_000;
/** Of live figures: one engine that hangs must not keep those of the others from who asks. */
const STATS_MS_MAX = 2_000;
/** Of one that has not answered in time before. */
const LATE_MS_MAX = 1_000;

/** A disk takes a few GiB in this time. Nobody waits who has not come yet. */
const SLEEP_FLUSH_MS_MAX = 30_000;

/** Somebody waits for the room. What was kept before the last requests is on disk already. */
const SWAP_FLUSH_MS_MAX = 5_000;

export interface NamedEngine {
  model: string;
  engine: EngineProcess;
}

export async function reportEngine({ model, engine }: NamedEngine, clock: Clock): Promise<EngineReport> {
  const stats = await orNothing(engine.client.stats(), STATS_MS_MAX, clock);
  return { model, pid: engine.pid, state: "loaded", info: engine.info, stats };
}

/** What all these engines keep of prompts, and what others have left on disk. */
export async function reportCache(
  engines: readonly NamedEngine[],
  clock: Clock,
  slept: readonly { cache: SleptCache; state: SleptState }[] = [],
  msMax = ANSWER_MS_MAX,
): Promise<CacheOverview> {
  const overview: CacheOverview = { entries: [], models: [] };
  const answers = await Promise.all(
    engines.map(async ({ model, engine: { client } }) => {
      const asked = Promise.all([client.cache(), client.stats()]);
      return { model, answer: await orNothing(asked, msMax, clock) };
    }),
  );
  for (const { model, answer } of answers) {
    if (answer === null) continue;
    const [entries, { retained, kvStore, evaluatedTokens, reusedTokens }] = answer;
    overview.entries.push(...entries.map((entry) => ({ model, ...entry })));
    overview.models.push({ model, state: "loaded", retained, kvStore, evaluatedTokens, reusedTokens });
  }
  for (const { cache, state } of slept) {
    const { entries, models } = describeSlept(cache, state, clock.monotonicMs());
    overview.entries.push(...entries);
    overview.models.push(...models);
  }
  return overview;
}

/** Has the engine write what a later one can start from. False when it did not in this time. */
export async function flushEngine(engine: EngineProcess, msMax: number, clock: Clock): Promise<boolean> {
  const flushed = engine.client.flush().then(() => true);
  return (await orNothing(flushed, msMax, clock)) ?? false;
}

/** Has an engine that will be stopped write what it keeps, and tells what is then there. */
export async function prepareSleep(named: NamedEngine, clock: Clock): Promise<SleptCache> {
  return await prepareStop(named, SLEEP_FLUSH_MS_MAX, clock);
}

/** The same for one that has to make room. */
export async function prepareSwap(named: NamedEngine, clock: Clock): Promise<SleptCache> {
  return await prepareStop(named, SWAP_FLUSH_MS_MAX, clock);
}

async function prepareStop(named: NamedEngine, msMax: number, clock: Clock): Promise<SleptCache> {
  const isFlushed = await flushEngine(named.engine, msMax, clock);
  const overview = await reportCache([named], clock, [], isFlushed ? ANSWER_MS_MAX : LATE_MS_MAX);
  return { overview, takenMs: clock.monotonicMs() };
}

async function orNothing<T>(answer: Promise<T>, msMax: number, clock: Clock): Promise<T | null> {
  const late = Promise.withResolvers<null>();
  const cancelTimer = clock.after(msMax, () => late.resolve(null), true);
  try {
    return await Promise.race([answer.catch(() => null), late.promise]);
  } finally {
    cancelTimer();
  }
}
