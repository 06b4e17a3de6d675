// How far prompts are read, for clients that asked: an event for each step that read some of theirs.

import type { GenerationEvent } from "../protocol/generation.ts";
import type { Sequence } from "./sequence.ts";

/** Of sequences that ran, before they are sampled. */
export function* tellProgress(ran: Iterable<Sequence>, nowMs: number): Generator<[number, GenerationEvent]> {
  for (const sequence of ran) {
    const { id, computed, promptLength: total, progressTold } = sequence;
    const processed = Math.min(computed, total);
    if (processed <= progressTold) continue;
    sequence.progressTold = processed;
    const { live, retained, disk } = sequence.reused;
    const elapsedMs = Math.round(nowMs - (sequence.startedMs ?? nowMs));
    yield [id, { type: "progress", total, cached: live + retained + disk, processed, elapsedMs }];
  }
}
