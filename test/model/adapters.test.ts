// LoRA adapters over llama.cpp: what a model with an adapter says is what the model with the adapter in its weights says
// (near-ties by the rule of near-ties.ts), alone and in any company; and files that are no adapter of the model's are
// refused, which in this process a crash would not be.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KvStore } from "../../src/engine/disk/kv-store.ts";
import { hashFile } from "../../src/engine/disk/weights-key.ts";
import type { LlamaBackend } from "../../src/engine/llama/llama-backend.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { GenerationRequest } from "../../src/protocol/generation.ts";
import type { LoraScale } from "../../src/protocol/lora.ts";
import { DrivenEngine, type DriveOptions } from "../support/engine-run.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import type { TensorSource } from "../support/gguf-writer.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import {
  type LoraChanges,
  type LoraSpec,
  makeTensor,
  mergeLoras,
  SMALL_LORA,
  writeLora,
} from "../support/lora-builder.ts";
import {
  BERT_MEAN_SPEC,
  GEMMA_SPEC,
  LFM2_SPEC,
  type ModelSpec,
  QWEN3_SPEC,
  TINY_SPEC,
} from "../support/model-specs.ts";
import { countVerdict, isWithinAllowance, judgeOutput, makeTally } from "../support/near-ties.ts";
import { makeRandom } from "../support/random.ts";
import { SoloOutputs } from "../support/solo-outputs.ts";

const OUTPUT_TOKENS = 24;
const REQUESTS = 60;
const SLICE_TOKENS = 16;
const TIMEOUT_MS = 120_000;
/** A product more than in the merged model is rounded once more. */
const NOISE_FACTOR = 2;

const small = (spec: ModelSpec): ModelSpec => ({ ...spec, tokenizer: "llama-spm" });
const SHAPES: [string, ModelSpec][] = [
  ["Llama-like", TINY_SPEC],
  ["Qwen3-like", small(QWEN3_SPEC)],
  ["Gemma-like", small(GEMMA_SPEC)],
  ["LFM2-like", LFM2_SPEC],
];

const LORAS: LoraSpec[] = [SMALL_LORA, { ...SMALL_LORA, seed: "two", rank: 2, alpha: 1 }];
const SETS: LoraScale[][] = [
  [],
  [{ id: 0, scale: 1 }],
  [{ id: 1, scale: 1 }],
  [
    { id: 0, scale: 0.5 },
    { id: 1, scale: -1 },
  ],
];
const SYSTEM = "You are an agent that edits code. Answer in one short sentence, and say nothing more.";
const PROMPTS = ["Who is there?", "Name a colour", "Tell me a tale"].flatMap((turn) => [
  `${SYSTEM} ${turn}`,
  `${SYSTEM} ${turn} And now: ${turn}`,
]);

const folder = mkdtempSync(join(tmpdir(), "mlo-adapters-"));
const tally = makeTally();

/** The adapters' files, and what every set gives when it is in the weights. */
async function prepareShape(spec: ModelSpec): Promise<{ paths: string[]; solos: SoloOutputs[] }> {
  const base = cacheModel(spec);
  const paths = LORAS.map((lora, id) => {
    const path = join(folder, `${spec.shape}-${id}.gguf`);
    writeLora(path, spec, lora);
    return path;
  });
  const solos: SoloOutputs[] = [];
  for (const [index, set] of SETS.entries()) {
    const merged = join(folder, `${spec.shape}-merged-${index}.gguf`);
    const loras = set.map(({ id, scale }) => ({ lora: LORAS[id] ?? SMALL_LORA, scale }));
    mergeLoras(base, merged, spec, loras);
    using backend = await loadModelFile(merged, { contextLength: 512 });
    solos.push(new SoloOutputs(backend, PROMPTS, OUTPUT_TOKENS));
  }
  return { paths, solos };
}

interface Asked {
  request: GenerationRequest;
  set: number;
  prompt: string;
}

function askAnything(random: (below: number) => number): Asked {
  const set = random(SETS.length);
  const prompt = PROMPTS[random(PROMPTS.length)] ?? "";
  const request: GenerationRequest = {
    prompt: { kind: "text", text: prompt },
    sampling: { temperature: 0, ignoreEos: true },
    stop: [],
    maxTokens: 1 + random(OUTPUT_TOKENS),
    lora: SETS[set] ?? [],
    ...(random(3) === 0 ? { priority: "batch" as const } : {}),
  };
  return { request, set, prompt };
}

/** Requests of all sets, many at once; returns the prompt tokens that were not computed. */
function runMixed(backend: LlamaBackend, options: DriveOptions, solos: SoloOutputs[], seed: number): number {
  const random = makeRandom(seed);
  using run = new DrivenEngine(backend, { ...options, speculates: true });
  const asked = Array.from({ length: REQUESTS }, () => askAnything(random));
  for (const [id, { request }] of asked.entries()) {
    run.generate(id, request);
    for (let steps = random(5); steps > 0; steps--) run.step();
    // A turn is over now and then.
    run.clock.advance(random(12));
  }
  run.finish();
  if (options.store !== undefined) run.flush();
  for (const [id, { request, set, prompt }] of asked.entries()) {
    const { end, text } = run.story(id);
    expect(end).toMatchObject({ type: "done", usage: { completionTokens: request.maxTokens } });
    const solo = solos[set];
    if (solo === undefined) throw new Error("every set has its outputs");
    const reference = solo.expect(prompt, request.maxTokens ?? 0);
    const name = `${backend.info.architecture}, set ${set}, request ${id}`;
    countVerdict(tally, name, judgeOutput(text, reference, NOISE_FACTOR * solo.noise));
  }
  const { parallel, retainedMax } = backend.info;
  const { reusedTokens } = run.engine.stats();
  for (let seqId = 0; seqId < parallel + retainedMax; seqId++) backend.removeSequence(seqId);
  return reusedTokens;
}

describe.skipIf(!HAS_NATIVE)("adapters over llama.cpp", () => {
  test.each(SHAPES)(
    "%s: mixed sets give what their merged weights give",
    async (_name, spec) => {
      const { paths, solos } = await prepareShape(spec);
      // Else a mix-up of sets would not show.
      for (const prompt of PROMPTS) {
        expect(new Set(solos.map((solo) => solo.expect(prompt, OUTPUT_TOKENS).text)).size).toBe(SETS.length);
      }
      const settings = { contextLength: 640, parallel: 5, retainedMax: 6, adapters: paths };
      using backend = await loadModelFile(cacheModel(spec), settings);
      const adapters = paths.map(hashFile);
      const kvFolder = join(folder, `${spec.shape}-kv`);
      const warn = (message: string): never => {
        throw new Error(message);
      };
      const isDurable = backend.info.memory === "plain" || backend.info.memory === "sliding";
      const store: DriveOptions["store"] = (made, clock) =>
        new KvStore(made, clock, {
          folder: kvFolder,
          modelKey: "m",
          bytesMax: 1e8,
          warn,
          sliceTokens: SLICE_TOKENS,
          quietMs: 0,
        });
      let reused = 0;
      // The second engine finds what the first one wrote.
      for (const seed of [1, 2]) {
        reused += runMixed(backend, isDurable ? { adapters, store } : { adapters }, solos, seed);
      }
      expect(tally.failures).toEqual([]);
      // A hybrid memory shares whole ends only.
      expect(reused).toBeGreaterThan(isDurable ? 500 : 10);
    },
    TIMEOUT_MS,
  );

  test("at most 2 % of the outputs are near-ties", () => {
    console.log(`near-ties: ${tally.excused} of ${tally.sequences} outputs excused`);
    expect(tally.sequences).toBe(2 * REQUESTS * SHAPES.length);
    expect(isWithinAllowance(tally)).toBe(true);
  });

  test("without an adapter that is loaded a model says what it says without one", async () => {
    const path = join(folder, "unused.gguf");
    writeLora(path, TINY_SPEC, SMALL_LORA);
    const logitsOf = async (adapters: string[], scales: number[]): Promise<number[]> => {
      using backend = await loadModelFile(cacheModel(TINY_SPEC), { adapters });
      backend.useAdapters(scales);
      expect(backend.decode([{ seqId: 0, tokens: Int32Array.of(5, 6, 7), start: 0, output: true }])).toBe("done");
      return [...backend.topLogits(8).logits];
    };
    const plain = await logitsOf([], []);
    expect(await logitsOf([path], [0])).toEqual(plain);
    expect(await logitsOf([path], [1])).not.toEqual(plain);
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));
});

const reshape = (shape: (of: readonly number[]) => number[]): LoraChanges => ({
  tensors: (tensors) => tensors.map((tensor) => ({ ...tensor, shape: shape(tensor.shape) })),
});
const numbers = { type: "array", of: "u32", values: [1, 2] } as const;
const embedding = (): TensorSource[] => [
  makeTensor("token_embd.weight.lora_a", [2, 32_000], new Float32Array(64_000)),
  makeTensor("token_embd.weight.lora_b", [2, TINY_SPEC.width], new Float32Array(2 * TINY_SPEC.width)),
];

const BAD: [name: string, changes: LoraChanges, message: RegExp][] = [
  ["no adapter at all", { metadata: { "general.type": { type: "string", value: "model" } } }, /no LoRA adapter/],
  ["a type that is no text", { metadata: { "general.type": { type: "u32", value: 1 } } }, /no LoRA adapter/],
  ["another kind of adapter", { metadata: { "adapter.type": { type: "string", value: "ia3" } } }, /no LoRA adapter/],
  ["of another architecture", { metadata: { "general.architecture": { type: "string", value: "qwen3" } } }, /'qwen3'/],
  ["an alpha that is no number", { metadata: { "adapter.lora.alpha": { type: "string", value: "8" } } }, /alpha/],
  ["an infinite alpha", { metadata: { "adapter.lora.alpha": { type: "f32", value: Infinity } } }, /alpha/],
  ["an aLoRA", { metadata: { "adapter.alora.invocation_tokens": numbers } }, /aLoRA/],
  ["without tensors", { tensors: () => [] }, /no tensors/],
  ["with half a pair", { tensors: (tensors) => tensors.slice(0, 1) }, /it has no '.*lora_b'/],
  ["with the other half alone", { tensors: (tensors) => tensors.slice(1) }, /missing one component/],
  ["with a tensor of another name", { tensors: ([first]) => (first ? [{ ...first, name: "x" }] : []) }, /no tensors/],
  [
    "for a weight that is not there",
    { tensors: (tensors) => tensors.map((one) => ({ ...one, name: one.name.replace("blk.", "blk.9") })) },
    /has no tensor 'blk.9/,
  ],
  ["of another width", reshape(([first = 0, second = 0]) => [first, second / 2]), /do not fit/],
  ["with experts", reshape(([first = 0, second = 0]) => [first, second / 2, 2]), /do not fit/],
  ["for an embedding that is the output too", { tensors: embedding }, /output too/],
];

describe.skipIf(!HAS_NATIVE)("a file that is no adapter of the model's", () => {
  const refusal = async (path: string): Promise<AppError> => {
    try {
      using _ = await loadModelFile(cacheModel(TINY_SPEC), { adapters: [path] });
    } catch (thrown) {
      if (thrown instanceof AppError) return thrown;
      throw thrown;
    }
    throw new Error("it was taken");
  };
  const badFolder = mkdtempSync(join(tmpdir(), "mlo-bad-adapters-"));
  const path = join(badFolder, "bad.gguf");

  test.each(BAD)("%s", async (_name, changes, message) => {
    writeLora(path, TINY_SPEC, SMALL_LORA, changes);
    const error = await refusal(path);
    expect(error.code).toBe("format_unsupported");
    expect(error.message).toContain("bad.gguf");
    expect(error.message).toMatch(message);
  });

  test("cut short, anywhere", async () => {
    writeLora(path, TINY_SPEC, SMALL_LORA);
    const whole = readFileSync(path);
    for (const share of [0, 0.001, 0.01, 0.3, 0.9, 0.999]) {
      writeFileSync(path, whole.subarray(0, Math.floor(share * whole.length)));
      expect((await refusal(path)).code).toBe("format_unsupported");
    }
  });

  test("any, for a model that only embeds", async () => {
    writeLora(path, TINY_SPEC, SMALL_LORA);
    const load = loadModelFile(cacheModel(BERT_MEAN_SPEC), { adapters: [path] });
    expect(load).rejects.toMatchObject({ code: "not_supported" });
    await Promise.allSettled([load]);
  });

  test("a model, or nothing", async () => {
    expect((await refusal(cacheModel(TINY_SPEC))).message).toContain("no LoRA adapter");
    expect((await refusal(join(badFolder, "nothing.gguf"))).code).toBe("format_unsupported");
  });

  afterAll(() => rmSync(badFolder, { recursive: true, force: true }));
});
