// What to make of an engine's death, for the requests that it had: who is tried once more, who is told, and who is
// not let in again because engines keep dying of it. Pure, but for what the table remembers.

import type { GenerationRequest } from "../../protocol/generation.ts";

/** Present at this many deaths, a request is taken for their cause. */
export const DEATHS_MAX = 2;

/** One death notes as many requests as an engine can hold; a few such deaths are worth remembering. */
const ENTRIES_MAX = 1024;

/** Clients repeat a failed request within minutes. Later, memory may be freed, or another build may run. */
const FORGET_AFTER_MS = 10 * 60_000;

export type Verdict = "retry" | "tell" | "refuse";

/** `deaths`: those at which this request was present. `produced`: its client has seen some of the answer. */
export function judgeCrash(deaths: number, produced: boolean): Verdict {
  if (produced) return "tell";
  return deaths >= DEATHS_MAX ? "refuse" : "retry";
}

interface Entry {
  deaths: number;
  /** The engine that died last: identical requests in one engine are present at one death. */
  engine: number;
  atMs: number;
}

/** Requests that were in engines which died, by what they say. */
export class CrashTable {
  /** In the order of their last death. */
  readonly #entries = new Map<string, Entry>();

  /** Requests that are still remembered. */
  count(nowMs: number): number {
    for (const [key, { atMs }] of this.#entries) {
      if (nowMs - atMs < FORGET_AFTER_MS) break;
      this.#entries.delete(key);
    }
    return this.#entries.size;
  }

  /** Notes that the engine of this process id died with the request; returns the deaths so far, this one included. */
  note(key: string, engine: number, nowMs: number): number {
    const known = this.#find(key, nowMs);
    const deaths = known === null ? 1 : known.engine === engine ? known.deaths : known.deaths + 1;
    this.#entries.delete(key);
    this.#entries.set(key, { deaths, engine, atMs: nowMs });
    const oldest = this.#entries.keys().next();
    if (this.#entries.size > ENTRIES_MAX && oldest.done !== true) this.#entries.delete(oldest.value);
    return deaths;
  }

  isRefused(key: string, nowMs: number): boolean {
    const known = this.#find(key, nowMs);
    return known !== null && known.deaths >= DEATHS_MAX;
  }

  /** The request was answered: it kills no engine. */
  forget(key: string): void {
    this.#entries.delete(key);
  }

  #find(key: string, nowMs: number): Entry | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    if (nowMs - entry.atMs < FORGET_AFTER_MS) return entry;
    this.#entries.delete(key);
    return null;
  }
}

/** What an engine computes for a generation, without what changes from one try to the next. */
export function describeGeneration(request: GenerationRequest): unknown {
  const { prompt, sampling, maxTokens, stop, echo, logprobs, contextShift, keepTokens, lora } = request;
  // A client that repeats itself may choose another seed.
  const { seed: _, ...settings } = sampling;
  return [prompt, settings, maxTokens, stop, echo, logprobs, contextShift, keepTokens, lora];
}

export function hashCall(modelPath: string, content: unknown): string {
  return new Bun.CryptoHasher("sha256").update(JSON.stringify([modelPath, content])).digest("hex");
}
