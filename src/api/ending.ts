// What the choices of one request say at their end, as one statement about the request. Pure.
// A prompt is computed once for all of its choices: whichever is read first computes it, the others share that.

import type { CacheReport, Timings, Usage } from "../protocol/generation.ts";
import { countCached } from "./cache-report.ts";
import type { OutputWarning } from "./output-warnings.ts";
import type { Truncation } from "./truncation.ts";

export interface Ending {
  usage: Usage;
  cache: CacheReport;
  timings: Timings;
  /** Of all choices, in what speaks for them all. */
  warnings?: readonly OutputWarning[];
  /** Of the prompt, in what speaks for all choices. */
  truncated?: Truncation;
}

/**
 * Prompt tokens and cache are those of the choice that computed most of its prompt, added up over the prompts, so that
 * computed and cached ones are the prompts' tokens; completion tokens are those of all choices; times are the longest.
 * `endings` are in the order of the choices: all of the first prompt, then all of the second.
 */
export function sumEndings(endings: readonly Ending[], choicesPerPrompt: number): Ending {
  const readers: Ending[] = [];
  for (let at = 0; at < endings.length; at += choicesPerPrompt) {
    readers.push(endings.slice(at, at + choicesPerPrompt).reduce(chooseReader));
  }
  const cache = sumCaches(readers.map((ending) => ending.cache));
  const dropped = sum(endings.map(({ usage }) => usage.droppedTokens ?? 0));
  return {
    usage: {
      promptTokens: sum(readers.map(({ usage }) => usage.promptTokens)),
      completionTokens: sum(endings.map(({ usage }) => usage.completionTokens)),
      cachedTokens: countCached(cache),
      ...(dropped === 0 ? {} : { droppedTokens: dropped }),
    },
    cache,
    timings: {
      queuedMs: Math.max(...readers.map(({ timings }) => timings.queuedMs)),
      promptMs: Math.max(...readers.map(({ timings }) => timings.promptMs)),
      decodeMs: Math.max(...endings.map(({ timings }) => timings.decodeMs)),
    },
  };
}

/** Where a prompt diverged is said of a lone one only: of several it would be anyone's. */
export function sumCaches(caches: readonly CacheReport[]): CacheReport {
  const [only] = caches;
  if (only !== undefined && caches.length === 1) return only;
  return {
    live: sum(caches.map(({ live }) => live)),
    retained: sum(caches.map(({ retained }) => retained)),
    disk: sum(caches.map(({ disk }) => disk)),
  };
}

function chooseReader(first: Ending, second: Ending): Ending {
  return countCached(second.cache) < countCached(first.cache) ? second : first;
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
