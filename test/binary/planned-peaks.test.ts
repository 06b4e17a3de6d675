// The compiled binary with all that makes an engine take more than its weights and cells: the most that it ever has of its own
// is what the plan says, and its first embedding adds what the plan says beside that, or is refused.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheModel } from "../support/gguf-builder.ts";
import {
  boundOf,
  findPid,
  LimitedServers,
  MIB,
  nameOf,
  type Plan,
  post,
  sumOwn,
  toMib,
  WIDE_KV_SPEC,
  watchPeak,
} from "../support/limited-server.ts";
import { SMALL_LORA, writeLora } from "../support/lora-builder.ts";
import { HEAD_SPEC, LFM2_SPEC, MAMBA_SPEC, type ModelSpec } from "../support/model-specs.ts";
import type { Server } from "../support/server.ts";

const GIB = 1024 ** 3;
/** On two cores that others use too. */
const TIMEOUT_MS = 600_000;
const CONTEXT = 2048;
const ANSWER = 12;
const isLinux = process.platform === "linux";
if (!isLinux) console.warn("skipped: what a process holds is read from /proc, which is Linux's");
const folder = mkdtempSync(join(tmpdir(), "mlo-peaks-"));

/** Keys and values of 256 MiB at this context. */
const WIDE = WIDE_KV_SPEC;
/** States of 1.4 MB a sequence. */
const RECURRENT: ModelSpec = { ...MAMBA_SPEC, width: 512, layers: 16, repeated: "all" };
const HYBRID: ModelSpec = { ...LFM2_SPEC, width: 512, headSize: 128, layers: 16, feedForward: 1024, repeated: "all" };
/** Kept states are then no more than a few. */
const FEW_STATES = ["--checkpoint-bytes", String(8 * MIB)];

function writeAdapter(): string {
  const path = join(folder, "wide-lora.gguf");
  writeLora(path, WIDE, { ...SMALL_LORA, rank: 256, alpha: 256 });
  return path;
}

const CASES: [name: string, spec: ModelSpec, args: () => string[], clients: number][] = [
  ["one sequence", WIDE, () => ["--parallel", "1"], 2],
  ["64 sequences", WIDE, () => ["--parallel", "64"], 64],
  ["keys and values as q8_0", WIDE, () => ["--kv-type", "q8_0"], 8],
  ["keys and values as f32", WIDE, () => ["--kv-type", "f32"], 8],
  ["a draft model", WIDE, () => ["--draft-model", cacheModel(WIDE), "--speculate", "draft"], 8],
  ["prediction layers", { ...HEAD_SPEC, ...WIDE, shape: "hy_v3" }, () => ["--speculate", "mtp"], 8],
  ["a LoRA adapter", WIDE, () => ["--lora", writeAdapter()], 8],
  [
    "sliding windows",
    { ...WIDE, shape: "gemma3", tokenizer: "gemma-4", slidingWindow: 512 },
    () => ["--parallel", "8"],
    8,
  ],
  ["recurrent states, one", RECURRENT, () => ["--parallel", "1", ...FEW_STATES], 2],
  ["recurrent states, 64", RECURRENT, () => ["--parallel", "64", ...FEW_STATES], 64],
  ["recurrent states that are kept", RECURRENT, () => ["--checkpoint-bytes", String(128 * MIB)], 96],
  ["hybrid memory", HYBRID, () => FEW_STATES, 8],
];

const servers = new LimitedServers("mlo-peaks");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Loaded {
  running: Server;
  model: string;
  pid: number;
  report: Plan;
}

/** With its plan, which it is held to. `bytes`: of its control group; null: there is none. */
async function load(spec: ModelSpec, args: string[], bytes: number | null): Promise<Loaded> {
  const running = await servers.start(cacheModel(spec), ["--ctx", String(CONTEXT), ...args], bytes);
  const model = await nameOf(running);
  const { body: report } = await post<Plan>(running, "/api/plan", { model });
  expect(report.verdict).toBe("fits");
  expect((await post(running, "/api/models/load", { model })).status).toBe(200);
  return { running, model, pid: await findPid(running), report };
}

function promptOf(client: number, length: number): number[] {
  return Array.from({ length }, (_, at) => 300 + ((at * 7 + client * 131) % 5000));
}

async function complete({ running, model }: Loaded, prompt: number[], tokens: number): Promise<number> {
  const body = { model, prompt, max_tokens: tokens, temperature: 0, ignore_eos: true };
  return (await post(running, "/v1/completions", body)).status;
}

/** One prompt that fills the context, and then as many at once as share it; at the end all that is kept goes to disk. */
async function fill(loaded: Loaded, spec: ModelSpec, clients: number, unloads: boolean): Promise<number[]> {
  const first = await complete(loaded, promptOf(0, CONTEXT - ANSWER - 1), ANSWER);
  const share = Math.floor(CONTEXT / clients) - ANSWER - 4;
  // States have one length, and are kept of prompts that are long enough.
  const length = spec === RECURRENT ? 40 : Math.max(8, share);
  const others = Array.from({ length: clients }, (_, at) => complete(loaded, promptOf(at + 1, length), ANSWER));
  const statuses = [first, ...(await Promise.all(others))];
  if (unloads) statuses.push((await post(loaded.running, "/api/models/unload", { model: loaded.model })).status);
  return statuses;
}

describe.skipIf(!isLinux)("an engine takes what was planned with", () => {
  test.each(CASES)(
    "%s",
    async (name, spec, args, clients) => {
      const loaded = await load(spec, args(), null);
      const plannedBytes = sumOwn(loaded.report);
      const work = fill(loaded, spec, clients, true);
      const peak = await watchPeak(loaded.pid, work);
      expect(new Set(await work)).toEqual(new Set([200]));
      console.log(`${name}: ${toMib(peak)} MiB at most, ${toMib(plannedBytes)} planned`);
      expect(Math.abs(peak - plannedBytes)).toBeLessThanOrEqual(boundOf(plannedBytes));
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(servers.made.kind === "none")("a model at full context that is then asked for embeddings", () => {
  const ask = ({ running, model }: Loaded) =>
    post<{ data: unknown[]; error?: { code: string; hint: string } }>(running, "/v1/embeddings", {
      model,
      input: [promptOf(0, CONTEXT), ...Array.from({ length: 16 }, (_, at) => promptOf(at, 100))],
    });
  /** A vocabulary of 151,936, whose logits alone would be 1.2 GB for each of 2,048 rows. */
  const SPEC: ModelSpec = { ...WIDE, shape: "qwen3", tokenizer: "qwen2" };

  test(
    "takes what the plan tells beside it, in 2 GiB",
    async () => {
      const loaded = await load(SPEC, [], 2 * GIB);
      const { embeddingBytes } = loaded.report.plan.memory;
      const plannedBytes = sumOwn(loaded.report) + (embeddingBytes ?? 0);
      const work = fill(loaded, SPEC, 8, false).then(() => ask(loaded));
      const peak = await watchPeak(loaded.pid, work);
      const { status, body } = await work;
      expect([status, body.data.length]).toEqual([200, 17]);
      console.log(
        `${toMib(peak)} MiB at most, ${toMib(plannedBytes)} planned, of which embeddings ${toMib(embeddingBytes ?? 0)}`,
      );
      expect(Math.abs(peak - plannedBytes)).toBeLessThanOrEqual(boundOf(plannedBytes));
      expect(servers.group.kills).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "is refused where there is no room, in 800 MiB, and goes on generating",
    async () => {
      const loaded = await load(SPEC, [], 800 * MIB);
      const refused = await ask(loaded);
      expect([refused.status, refused.body.error?.code]).toEqual([400, "plan_refused"]);
      expect(refused.body.error?.hint).toContain("smaller --ctx");
      expect(await complete(loaded, promptOf(0, 100), ANSWER)).toBe(200);
      expect(await findPid(loaded.running)).toBe(loaded.pid);
      expect(servers.group.kills).toBe(0);
    },
    TIMEOUT_MS,
  );
});
