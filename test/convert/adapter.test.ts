// PEFT adapters as GGUF adapters: over its base model such a file does what the model with the adapter in its weights does,
// by llama.cpp; its tensors are those of llama.cpp's own script (test/golden/adapters.jsonl); what can't be one is refused.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertAdapter, isAdapterFolder } from "../../src/convert/adapter/convert-adapter.ts";
import type { ConvertReport } from "../../src/convert/convert-model.ts";
import type { OutType } from "../../src/convert/out-types.ts";
import { readAdapters } from "../../src/models/adapter.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { convertFolder, readWritten } from "../support/convert-folder.ts";
import { mutateFile } from "../support/folder-mutations.ts";
import { ADAPTER_GOLDENS } from "../support/golden-folders.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import {
  ATTENTION_LORA,
  makeFactors,
  type PeftSpec,
  peftConfig,
  peftTensors,
  writeBase,
  writeMerged,
  writePeftFolder,
} from "../support/peft-folders.ts";
import { makeRandom } from "../support/random.ts";
import { writeSafetensors } from "../support/safetensors-writer.ts";
import { TINIEST, TINY, type TinyDecoder } from "../support/tiny-decoders.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-convert-adapter-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function convert(
  source: string,
  base: string | null,
  outType: OutType | "auto" = "auto",
): Promise<ConvertReport> {
  const { signal } = new AbortController();
  const target = (type: OutType) => `${source}-${type}.gguf`;
  return await convertAdapter({ source, base, target, outType, force: true, signal, onProgress: () => {} });
}

const EVERYWHERE: PeftSpec = { ranks: (path) => (/_proj$|lm_head$/.test(path) ? 4 : null), alpha: 8 };
const MODELS: Readonly<Record<string, [TinyDecoder, PeftSpec]>> = {
  "Llama, attention": [TINY, ATTENTION_LORA],
  "Llama, everywhere": [TINY, EVERYWHERE],
  "Llama, half precision, pickled": [
    { ...TINY, dtype: "F16" },
    { ...EVERYWHERE, dtype: "F16", isPickle: true },
  ],
  "Llama, embeddings": [TINY, { ranks: (path) => (/embed_tokens$|q_proj$/.test(path) ? 4 : null), alpha: 8 }],
  "Llama, rank-stabilised, several ranks and strengths": [
    TINY,
    {
      ranks: (path) => (/[qv]_proj$/.test(path) ? 4 : /down_proj$/.test(path) ? 2 : null),
      alpha: 8,
      alphas: { "0.self_attn.v_proj": 3 },
      isRankStabilized: true,
    },
  ],
  Qwen2: [{ ...TINY, architecture: "Qwen2ForCausalLM", hasQkvBias: true }, EVERYWHERE],
  Qwen3: [{ ...TINY, architecture: "Qwen3ForCausalLM", headLength: 32 }, ATTENTION_LORA],
};

const TOKENS = Int32Array.from({ length: 24 }, (_, i) => (i * 37 + 11) % 256);

async function logitsOf(path: string, adapters: string[]): Promise<Float64Array> {
  using backend = await loadModelFile(path, { adapters, contextLength: 256 });
  backend.useAdapters(adapters.map(() => 1));
  expect(backend.decode([{ seqId: 0, tokens: TOKENS, start: 0, output: true }])).toBe("done");
  const { tokens, logits } = backend.topLogits(TINY.vocabulary);
  const all = new Float64Array(TINY.vocabulary).fill(Number.NaN);
  for (const [i, token] of tokens.entries()) all[token] = logits[i] ?? Number.NaN;
  return all;
}

function difference(found: Float64Array, expected: Float64Array): number {
  const norm = (values: Float64Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm(found.map((value, i) => value - (expected[i] ?? Number.NaN))) / norm(expected);
}

describe.skipIf(!HAS_NATIVE)("with its adapter a model is what the merged one is", () => {
  test.each(Object.entries(MODELS))("%s", async (name, [model, spec]) => {
    const at = join(root, name.replaceAll(/\W/g, "-"));
    const [base, peft, merged] = [`${at}-base`, `${at}-lora`, `${at}-merged`];
    writeBase(base, model);
    writePeftFolder(peft, model, spec);
    writeMerged(merged, model, spec);
    const plain = (await convertFolder(base)).path;
    const report = await convert(peft, base);
    expect(report.outType).toBe(spec.dtype === "F16" ? "f16" : "f32");
    expect(readAdapters([report.target])).toHaveLength(1);
    const bytes = readFileSync(report.target);
    // A GGUF of the base says the same as its folder.
    expect(Buffer.compare(bytes, readFileSync((await convert(peft, plain)).target))).toBe(0);
    const expected = await logitsOf((await convertFolder(merged)).path, []);
    expect(difference(await logitsOf(plain, [report.target]), expected)).toBeLessThan(5e-3);
    // Else anything would pass.
    expect(difference(await logitsOf(plain, []), expected)).toBeGreaterThan(0.1);
  });
});

interface Golden {
  name: string;
  metadata: [key: string, type: number, value: unknown][];
  tensors: [name: string, dims: number[], type: number, offset: number, sha256: string][];
}

describe("as llama.cpp's script writes it", () => {
  const lines = readFileSync(join(import.meta.dir, "../golden/adapters.jsonl"), "utf8")
    .trim()
    .split("\n");
  const goldens = new Map(lines.map((line) => JSON.parse(line) as Golden).map((golden) => [golden.name, golden]));

  test.each(ADAPTER_GOLDENS.flatMap(({ outTypes, ...golden }) => outTypes.map((outType) => ({ ...golden, outType }))))(
    "$name as $outType",
    async ({ name, write, outType }) => {
      const folder = join(root, name);
      write(folder);
      const golden = goldens.get(`${name}-${outType}`);
      const file = readWritten((await convert(folder, `${folder}-base`, outType)).target);
      const tensors = file.tensorNames.map((tensor) => {
        const { dims, typeId, data } = file.tensor(tensor);
        return [tensor, dims, typeId, createHash("sha256").update(data).digest("hex")];
      });
      const expected = golden?.tensors.map(([tensor, dims, type, , sha256]) => [tensor, dims, type, sha256]);
      expect(tensors.toSorted()).toEqual(expected?.toSorted() ?? []);
      for (const key of ["general.architecture", "general.type", "adapter.type", "adapter.lora.alpha"]) {
        expect([key, file.value(key)]).toEqual([key, golden?.metadata.find(([own]) => own === key)?.[2] as string]);
      }
    },
  );
});

describe("what is no adapter for llama.cpp", () => {
  const base = join(root, "refused-base");
  const peft = join(root, "refused");
  beforeAll(() => writeBase(base, TINY));

  async function refusalOf(spec: PeftSpec, use: string | null = base): Promise<{ code: string; message: string }> {
    rmSync(peft, { recursive: true, force: true });
    writePeftFolder(peft, TINY, spec);
    return await failureOf(use);
  }

  async function failureOf(use: string | null): Promise<{ code: string; message: string }> {
    const before = readdirSync(root).length;
    const failed = await convert(peft, use).then(null, (thrown: unknown) => thrown);
    expect(readdirSync(root)).toHaveLength(before);
    const { code, message, hint } = failed as { code: string; message: string; hint: string };
    expect(hint.length).toBeGreaterThan(10);
    return { code, message };
  }

  const configs: [string, Record<string, unknown>, string, string][] = [
    ["whole layers", { modules_to_save: ["lm_head", "embed_tokens"] }, "format_unsupported", "lm_head, embed_tokens"],
    ["DoRA", { use_dora: true }, "format_unsupported", "DoRA"],
    ["biases", { bias: "all" }, "format_unsupported", "bias: all"],
    ["another type", { peft_type: "IA3" }, "format_unsupported", "IA3"],
    ["aLoRA", { alora_invocation_tokens: [1, 2] }, "format_unsupported", "aLoRA"],
    ["tokens of its own", { trainable_token_indices: [1] }, "format_unsupported", "trainable_token_indices"],
    ["repeated layers", { layer_replication: [[0, 1]] }, "format_unsupported", "layer_replication"],
    ["patterns of strength", { alpha_pattern: { "(a+)+$": 4 } }, "format_unsupported", "alpha_pattern"],
    ["no rank", { r: 0 }, "model_damaged", '"r" must be'],
    ["no strength", { lora_alpha: null }, "model_damaged", 'lacks "lora_alpha"'],
    ["a strength of 0", { lora_alpha: 0 }, "model_damaged", '"lora_alpha" must be'],
  ];

  test.each(configs)("%s", async (_, config, code, message) => {
    const refusal = await refusalOf({ ...ATTENTION_LORA, config });
    expect(refusal).toMatchObject({ code });
    expect(refusal.message).toContain(message);
  });

  test("factors that are missing, of other sizes, or of layers that the base does not have", async () => {
    const tensors = peftTensors(makeFactors(TINY, ATTENTION_LORA));
    const [a, b, ...rest] = tensors;
    if (a === undefined || b === undefined) throw new Error("there are factors");
    const whole = { name: "base_model.model.lm_head.weight", dtype: "F32", shape: [1], data: new Uint8Array(4) };
    for (const [written, code, message] of [
      [[b, ...rest], "model_damaged", "only one factor of model.layers.0.self_attn.q_proj"],
      [[{ ...a, shape: [8, 32] }, b], "model_damaged", "where [4, 64] fits"],
      [[a, { ...b, shape: [32, 8] }], "model_damaged", "has the shape"],
      [[a, { ...b, shape: [256] }], "model_damaged", "has the shape"],
      [
        tensors.map((tensor) => ({ ...tensor, name: tensor.name.replace("layers.1", "layers.7") })),
        "format_unsupported",
        "does not have",
      ],
      [[...tensors, whole], "format_unsupported", "no factors: lm_head.weight"],
      [[], "model_damaged", "no tensors named lora_A"],
    ] as const) {
      rmSync(peft, { recursive: true, force: true });
      writePeftFolder(peft, TINY, ATTENTION_LORA);
      writeFileSync(join(peft, "adapter_model.safetensors"), writeSafetensors(written));
      for (const use of [base, (await convertFolder(base).catch(() => ({ path: `${base}-f32.gguf` }))).path]) {
        const refusal = await failureOf(use);
        expect(refusal).toMatchObject({ code });
        expect(refusal.message).toContain(message);
      }
    }
  });

  test("an output head that is tied to the embeddings", async () => {
    const tied = join(root, "tied-base");
    writeBase(tied, { ...TINY, isTied: true });
    const refusal = await refusalOf({ ranks: (path) => (path === "lm_head" ? 4 : null), alpha: 8 }, tied);
    expect(refusal).toMatchObject({ code: "format_unsupported" });
    expect(refusal.message).toContain("lm_head, which its base as llama does not have");
  });

  test("a type of llama.cpp's quantiser", async () => {
    writePeftFolder(peft, TINY, ATTENTION_LORA);
    await expect(convert(peft, base, "q4_k_m")).rejects.toMatchObject({ code: "invalid_request" });
  });

  test("norms are left out, with a note", async () => {
    writePeftFolder(peft, TINY, ATTENTION_LORA);
    const norm = {
      name: "model.layers.0.input_layernorm.weight",
      dtype: "F32",
      shape: [64],
      data: new Uint8Array(256),
    };
    writeFileSync(
      join(peft, "adapter_model.safetensors"),
      writeSafetensors([...peftTensors(makeFactors(TINY, ATTENTION_LORA)), norm]),
    );
    expect((await convert(peft, base)).notes.join("\n")).toContain("1 norms are left out");
    rmSync(`${peft}-f32.gguf`);
  });

  test("its base: told by the adapter, by nobody, of another architecture, or no model", async () => {
    rmSync(peft, { recursive: true, force: true });
    writePeftFolder(peft, TINY, ATTENTION_LORA, "../refused-base");
    expect(isAdapterFolder(peft)).toBe(true);
    expect((await convert(peft, null)).architecture).toBe("llama");
    rmSync(`${peft}-f32.gguf`);
    expect((await refusalOf(ATTENTION_LORA, null)).message).toContain("some-org/Tiny-Base");
    expect(await refusalOf({ ...ATTENTION_LORA, config: { base_model_name_or_path: null } }, null)).toMatchObject({
      code: "invalid_request",
    });
    expect((await refusalOf(ATTENTION_LORA, join(root, "nowhere"))).message).toContain("is not there");
    const text = join(root, "text.gguf");
    writeFileSync(text, "nothing");
    expect((await refusalOf(ATTENTION_LORA, text)).message).toContain("can't be used");
    expect((await refusalOf(ATTENTION_LORA, peft)).message).toContain("no config.json");
    rmSync(text);
    writeFileSync(join(peft, "adapter_config.json"), JSON.stringify(peftConfig(ATTENTION_LORA, "x")).slice(0, 40));
    expect((await failureOf(base)).message).toContain("adapter_config.json is not JSON");
  });
});

test("400 mutations of adapters and their bases give a file or an error", async () => {
  const random = makeRandom(5);
  const [peft, base, gguf] = [join(root, "mutated"), join(root, "mutated-base"), join(root, "mutated-base.gguf")];
  writeBase(base, TINIEST);
  const whole = readFileSync((await convertFolder(base)).path);
  writeBase(base, TINIEST);
  const outcomes = new Map<string, number>();
  for (let round = 0; round < 400; round++) {
    rmSync(peft, { recursive: true, force: true });
    writePeftFolder(peft, TINIEST, { ...ATTENTION_LORA, isPickle: round % 3 === 0 });
    const isBase = round % 4 === 0;
    const names = readdirSync(peft).sort();
    const name = names[random(names.length)] as string;
    const path = isBase ? gguf : join(peft, name);
    writeFileSync(path, mutateFile(isBase ? "x" : name, new Uint8Array(isBase ? whole : readFileSync(path)), random));
    const outcome = await convert(peft, isBase ? gguf : base).then(
      () => "whole",
      (thrown: unknown) => {
        if (!(thrown instanceof AppError) || thrown.code === "internal")
          throw new Error(`round ${round}, ${path}`, { cause: thrown });
        return thrown.code;
      },
    );
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  expect(outcomes.get("whole") ?? 0).toBeGreaterThan(20);
  expect(outcomes.get("model_damaged") ?? 0).toBeGreaterThan(20);
  expect(outcomes.get("format_unsupported") ?? 0).toBeGreaterThan(20);
});
