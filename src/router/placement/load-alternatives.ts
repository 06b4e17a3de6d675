// With which settings a model may be loaded when memory does not suffice for those that were asked for. Pure. What was set
// explicitly is kept.

import type { EngineSettings } from "../../protocol/messages.ts";
import type { LoadAlternative } from "./step-down.ts";

/** Shorter ones than the automatic one; a conversation hardly has room in less than the last. */
const CONTEXTS = [8192, 4096, 2048];
/** The buffers of a step grow with these; a quarter of the usual ones costs some percent of speed. */
const MICRO_BATCH = 128;

export interface Chosen {
  /** Somebody set how many tokens there are. A plan may have chosen them too, which counts as nobody. */
  context: boolean;
  /** Somebody set how many rows a step has. */
  batch: boolean;
}

/** The mildest first. */
export function listAlternatives(settings: EngineSettings, { context, batch }: Chosen): LoadAlternative[] {
  const { contextLength, microBatchSize } = settings;
  const alternatives: LoadAlternative[] = [];
  const add = (changes: Partial<EngineSettings>, words: string): void => {
    alternatives.push({ settings: { ...(alternatives.at(-1)?.settings ?? settings), ...changes }, words });
  };
  // 0: the engine chooses, from the trained one.
  const shorter = CONTEXTS.filter((tokens) => contextLength === 0 || tokens < contextLength);
  if (!context) for (const tokens of shorter) add({ contextLength: tokens }, sayContext(tokens));
  if (!batch && microBatchSize > MICRO_BATCH) {
    const before = alternatives.at(-1)?.words;
    const words = `a step has at most ${MICRO_BATCH} rows (--ubatch-size ${MICRO_BATCH})`;
    add({ microBatchSize: MICRO_BATCH }, before === undefined ? words : `${before}, and ${words}`);
  }
  return alternatives;
}

function sayContext(tokens: number): string {
  return `the context has at most ${tokens} tokens (--ctx ${tokens})`;
}
