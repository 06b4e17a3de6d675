// Random schedules over a folder that outlives the engines: ended or killed in the middle, with small budgets, failing
// disks and damaged files, from fixed seeds. A request gives what it gives alone; what is written is bounded.

import { expect, test } from "bun:test";
import { rmSync } from "node:fs";
import type { GenerationRequest } from "../../../src/protocol/generation.ts";
import type { MemoryKind } from "../../../src/protocol/model-info.ts";
import { EngineRun, outcome, runAlone } from "../../support/engine-run.ts";
import { KvFolder } from "../../support/kv-folder.ts";
import { makeRandom } from "../../support/random.ts";

const SCHEDULES = 600;
/** What a schedule restores at least, on average. */
const RESTORED_MIN: Partial<Record<MemoryKind, number>> = { plain: 20, sliding: 2, recurrent: 20, hybrid: 20 };
const MEMORIES: readonly MemoryKind[] = ["plain", "plain", "sliding", "recurrent", "hybrid"];
const LIVES = 3;
const ACTIONS = 25;
const SEQUENCE_MAX = 100;
const COMMON_TEXTS = ["the system text of one agent", "the system text and tools of another agent, which is longer"];

const ADAPTERS = ["one file", "another file"];

type Random = (below: number) => number;

function randomRequest(random: Random): GenerationRequest {
  const common = COMMON_TEXTS[random(COMMON_TEXTS.length)] ?? "";
  const text = `${common.slice(0, 8 + random(common.length))} ${"abcdefgh"[random(8)]}${"x".repeat(random(12))}`;
  return {
    prompt: { kind: "text", text },
    sampling: { temperature: 0, ignoreEos: random(2) === 0 },
    stop: [],
    maxTokens: 1 + random(30),
    cache: { reuse: random(8) > 0, keep: random(8) > 0 },
    ...(random(4) === 0 ? { lora: [{ id: random(2), scale: 1 }] } : {}),
  };
}

function damageSome(folder: KvFolder, random: Random): void {
  for (const path of folder.files()) {
    const kind = random(12);
    if (kind === 0) folder.replace(path, (text) => text.slice(0, random(text.length)));
    if (kind === 1) rmSync(path);
  }
}

/** Returns the prompt tokens that came from disk. */
function runLife(folder: KvFolder, memory: MemoryKind, random: Random): number {
  const bytesMax = random(2) === 0 ? 1e9 : 500 + random(4000);
  const isBroken = random(4) === 0;
  using run = new EngineRun({
    contextLength: SEQUENCE_MAX + random(100),
    sequenceContextLength: SEQUENCE_MAX,
    parallel: 1 + random(4),
    retainedMax: random(5),
    memory,
    batchSize: 5 + random(30),
    taskPolls: () => random(3),
    speculates: random(2) === 0,
    guessFails: () => random(5) === 0,
    checkpointBytesMax: random(3) === 0 ? random(2000) : 1e6,
    adapters: ADAPTERS,
    store: folder.opener({ bytesMax }),
  });
  run.backend.faults.write = () => (isBroken && random(3) === 0 ? "the disk is full" : null);
  run.backend.faults.decode = (parts) => {
    for (const { tokens } of parts) run.clock.advance(10 + tokens.length / 10);
    return parts.length > 1 && random(15) === 0 ? "full" : null;
  };
  const requests = new Map<number, GenerationRequest>();
  for (let action = 0; action < ACTIONS; action++) {
    const id = 1 + random(requests.size + 1);
    const kind = random(9);
    if (kind === 0 && requests.has(id)) run.send("cancel", id);
    else if (kind === 1) run.send(random(2) === 0 ? "pause" : "resume", id);
    else if (kind === 2) run.settle();
    else if (kind === 8) run.adjust({ promptRows: random(40), places: random(5), cacheShare: random(3) / 2 });
    else if (kind < 6) {
      const request = randomRequest(random);
      requests.set(requests.size + 1, request);
      run.generate(requests.size, request);
    }
    for (let steps = random(8); steps > 0; steps--) run.step();
  }
  if (random(3) > 0) {
    for (const id of requests.keys()) run.send("resume", id);
    run.finish();
    if (random(2) === 0) run.flush();
    run.settle();
    run.checkEmpty();
  }
  let restored = 0;
  for (const [id, request] of requests) {
    const story = run.story(id);
    if (story.end === null || story.end.type === "cancelled") continue;
    expect(outcome(story)).toEqual(
      outcome(runAlone(request, { sequenceContextLength: SEQUENCE_MAX, adapters: ADAPTERS })),
    );
    if (story.end.type === "done") restored += story.end.cache.disk;
  }
  const { bytes } = run.engine.stats().kvStore ?? { bytes: 0 };
  expect(bytes).toBeLessThanOrEqual(bytesMax);
  return restored;
}

test(`${SCHEDULES} schedules of ${LIVES} engines over one folder keep every promise`, () => {
  const tried = new Map(MEMORIES.map((memory) => [memory, { schedules: 0, restored: 0 }]));
  for (let seed = 1; seed <= SCHEDULES; seed++) {
    using folder = new KvFolder();
    const random = makeRandom(seed);
    const memory = MEMORIES[random(MEMORIES.length)] ?? "plain";
    const counts = tried.get(memory) ?? { schedules: 0, restored: 0 };
    counts.schedules++;
    for (let life = 0; life < LIVES; life++) {
      try {
        counts.restored += runLife(folder, memory, random);
        if (random(2) === 0) damageSome(folder, random);
      } catch (thrown) {
        throw new Error(`schedule ${seed}, life ${life}, ${memory}: ${(thrown as Error).message}`, { cause: thrown });
      }
    }
  }
  console.log(JSON.stringify(Object.fromEntries(tried)));
  // Else they would say nothing about the disk.
  for (const [memory, { schedules, restored }] of tried) {
    expect(restored).toBeGreaterThan((RESTORED_MIN[memory] ?? 0) * schedules);
  }
}, 120_000);
