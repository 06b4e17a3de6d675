// Random schedules of requests, cancels, pauses, lower limits and full caches, from fixed seeds. Whatever the order: each request
// ends once, a request that is not cancelled gives what it gives alone, our cells are the backend's, nothing is left.

import { describe, expect, test } from "bun:test";
import type { GenerationRequest } from "../../../src/protocol/generation.ts";
import type { MemoryKind } from "../../../src/protocol/model-info.ts";
import { EngineRun, outcome, runAlone } from "../../support/engine-run.ts";
import { makeRandom } from "../../support/random.ts";

const SCHEDULES = 2000;
const ACTIONS = 60;
const SEQUENCE_MAX = 100;
const ADAPTERS = ["one file", "another file"];
const MEMORIES: readonly MemoryKind[] = ["plain", "plain", "plain", "sliding", "hybrid", "recurrent", "other"];
const COMMON_TEXTS = ["the system text of one agent", "the system text and tools of another agent, which is longer"];

function randomRequest(random: (below: number) => number): GenerationRequest {
  const text = randomText(random);
  return {
    prompt: random(3) === 0 ? { kind: "chat", messages: [{ role: "user", content: text }] } : { kind: "text", text },
    sampling: { temperature: random(2), seed: random(1000), ignoreEos: random(2) === 0 },
    stop: random(4) === 0 ? ["a", "bc", "c d"] : [],
    ...(random(5) === 0 ? {} : { maxTokens: 1 + random(50) }),
    ...(random(3) === 0 ? { priority: "batch" as const } : {}),
    ...(random(4) === 0 ? { session: `conversation ${random(3)}` } : {}),
    cache: { reuse: random(8) > 0, keep: random(8) > 0 },
    ...(random(3) === 0 ? { lora: [{ id: random(2), scale: random(3) }] } : {}),
  };
}

/** Often the beginning of a text that others begin with too, for prefixes to be shared. */
function randomText(random: (below: number) => number): string {
  const letters = (length: number) => Array.from({ length }, () => String.fromCharCode(97 + random(26))).join("");
  if (random(8) === 0) return letters(random(SEQUENCE_MAX + 10));
  const common = COMMON_TEXTS[random(COMMON_TEXTS.length)] ?? "";
  return common.slice(0, random(common.length + 1)) + letters(1 + random(12));
}

/** Returns how many prompt tokens did not have to be computed, and how many tokens were guessed right. */
function runSchedule(seed: number): { reused: number; guessed: number } {
  const random = makeRandom(seed);
  using run = new EngineRun({
    contextLength: SEQUENCE_MAX + random(150),
    sequenceContextLength: SEQUENCE_MAX,
    parallel: 1 + random(5),
    retainedMax: random(6),
    memory: MEMORIES[random(MEMORIES.length)] ?? "plain",
    batchSize: 5 + random(30),
    taskPolls: () => random(4),
    speculates: random(2) === 0,
    guessFails: () => random(5) === 0,
    checkpointBytesMax: random(3) === 0 ? random(2000) : 1e6,
    ...(random(2) === 0 ? { draftSlots: 1 + random(4) } : {}),
    draftFails: () => (random(8) === 0 ? null : random(5) === 0),
    draftsFromRows: random(2) === 0,
    adapters: ADAPTERS,
  });
  // A backend may be full before our count is, now and then.
  run.backend.faults.decode = (parts) => {
    // A row more costs little beside a step: then it pays to guess.
    for (const { tokens } of parts) run.clock.advance(10 + tokens.length / 10);
    return parts.length > 1 && random(15) === 0 ? "full" : null;
  };
  const requests = new Map<number, GenerationRequest>();
  const cancelled = new Set<number>();
  const paused = new Set<number>();
  const embedded = new Set<number>();
  let nextId = 1;
  const anyId = (): number => 1 + random(nextId);
  const act = (): void => {
    const id = random(3) === 0 ? nextId++ : anyId();
    switch (random(9)) {
      case 0:
      case 1:
      case 2: {
        if (requests.has(id) || embedded.has(id)) return;
        const request = randomRequest(random);
        requests.set(id, request);
        run.generate(id, request);
        return;
      }
      case 3:
        if (requests.has(id) || embedded.has(id)) return;
        embedded.add(id);
        run.embed(
          id,
          Array.from({ length: 1 + random(7) }, () => "x".repeat(random(30))),
        );
        return;
      case 4:
        cancelled.add(id);
        run.send("cancel", id);
        return;
      case 5:
      case 6:
        paused.add(id);
        run.send("pause", id);
        return;
      case 7:
        paused.delete(id);
        run.send("resume", id);
        return;
      case 8: {
        const cacheShare = [0, 0.5, 1][random(3)] ?? 1;
        run.adjust({ promptRows: random(40), places: random(6), cacheShare });
      }
    }
  };
  for (let i = 0; i < ACTIONS; i++) {
    act();
    for (let steps = random(4); steps > 0; steps--) run.step();
    nextId = Math.max(nextId, ...requests.keys(), ...embedded.keys());
  }
  for (const id of paused) run.send("resume", id);
  run.settle();
  run.checkEmpty();
  for (const [id, request] of requests) {
    const story = run.story(id);
    expect(story.end).not.toBeNull();
    if (story.end?.type === "cancelled") expect(cancelled.has(id)).toBe(true);
    else
      expect(outcome(story)).toEqual(
        outcome(runAlone(request, { sequenceContextLength: SEQUENCE_MAX, adapters: ADAPTERS })),
      );
  }
  for (const id of embedded) expect(run.embeddings.has(id) || cancelled.has(id)).toBe(true);
  const { reusedTokens: reused, acceptedTokens: guessed } = run.engine.stats();
  return { reused, guessed };
}

describe("random schedules", () => {
  test(`${SCHEDULES} of them keep every promise`, () => {
    const total = { reused: 0, guessed: 0 };
    for (let seed = 1; seed <= SCHEDULES; seed++) {
      try {
        const { reused, guessed } = runSchedule(seed);
        total.reused += reused;
        total.guessed += guessed;
      } catch (thrown) {
        throw new Error(`schedule ${seed}: ${(thrown as Error).message}`, { cause: thrown });
      }
    }
    // Else they would say nothing about sharing and guessing.
    expect(total.reused).toBeGreaterThan(10 * SCHEDULES);
    expect(total.guessed).toBeGreaterThan(SCHEDULES);
  });
});
