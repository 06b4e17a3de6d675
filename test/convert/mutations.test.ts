// Folders that lie: seeded mutations of every file, in their JSON and in their bytes. A conversion is then a whole file
// or an error of operation with a hint, and never anything else.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertModel } from "../../src/convert/convert-model.ts";
import { readGgufHeader } from "../../src/formats/gguf/read-header.ts";
import { withFile } from "../../src/formats/read-at.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { mutateFile } from "../support/folder-mutations.ts";
import { tinyPieces, tinyTokenizer, toFallbackJson, toSentencePieceModel } from "../support/hf-tokenizers.ts";
import { LAYER_NORM_MODELS } from "../support/layer-norm-models.ts";
import { PACKED_MODELS, type PackedModel, writePackedFolder } from "../support/packed-folders.ts";
import { makeRandom } from "../support/random.ts";
import { TINIEST, type TinyDecoder, writeTinyFolder } from "../support/tiny-decoders.ts";
import { type TinyFamily, writeFamilyFolder } from "../support/tiny-families.ts";
import { TINY_FAMILIES } from "../support/tiny-family-models.ts";
import { LLAMA3_SCALING } from "../support/tiny-models.ts";
import { viewTensors, writeFolderOnly, writeTorchParts } from "../support/torch-folders.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-convert-mutations-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SMALL: TinyDecoder = {
  ...TINIEST,
  scaling: LLAMA3_SCALING,
};
/** Groups of 64 fill its rows. */
const PACKED_SMALL: TinyDecoder = { ...SMALL, dtype: "F16", width: 64, heads: 2, headLength: 32, inner: 64 };
const MUTATIONS = 400;

const FOLDERS: Readonly<Record<string, (folder: string) => void>> = {
  "byte-level BPE": (folder) => {
    const template = {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<|bos|>" } }, { Sequence: { id: "A" } }],
      pair: [{ Sequence: { id: "A" } }, { SpecialToken: { id: "<|eos|>" } }, { Sequence: { id: "B" } }],
    };
    const files = tinyTokenizer();
    const json = { ...(files["tokenizer.json"] as object), post_processor: template };
    writeTinyFolder(folder, { ...SMALL, parts: 2 }, { ...files, "tokenizer.json": json });
    writeFileSync(join(folder, "README.md"), "---\nlicense: mit\ntags: [a]\nbase_model: a/b-7B\n---\n");
  },
  SentencePiece: (folder) =>
    writeTinyFolder(folder, SMALL, {
      "tokenizer.model": toSentencePieceModel(tinyPieces()),
      "added_tokens.json": { "<extra>": 290 },
      "tokenizer_config.json": { added_tokens_decoder: { "291": { content: "<|im_start|>" } }, bos_token: "<s>" },
    }),
  "BPE with byte fallback": (folder) =>
    writeTinyFolder(folder, SMALL, { "tokenizer.json": toFallbackJson(tinyPieces()) }),
  experts: (folder) =>
    writeTinyFolder(
      folder,
      {
        ...TINIEST,
        architecture: "Qwen2MoeForCausalLM",
        parts: 2,
        hasQkvBias: true,
        experts: { count: 3, used: 2, inner: 32, sharedInner: 32 },
      },
      tinyTokenizer(),
    ),
  "layer norms": (folder) => writeFamilyFolder(folder, LAYER_NORM_MODELS.gptneox as TinyFamily, tinyTokenizer()),
  "Gemma 3 with images": writeFamily("gemma3-with-images"),
  Phi: writeFamily("phi-long"),
  "DeepSeek V3": writeFamily("deepseek3"),
  "a PyTorch checkpoint": (folder) => {
    writeFolderOnly(folder, SMALL);
    writeTorchParts(folder, viewTensors(SMALL), 2);
  },
  ...Object.fromEntries(
    [
      "gptq-4-act-order",
      "awq",
      "mlx-3",
      "mlx-mixed",
      "fp8-ragged-block",
      "packed-4-zeros",
      "bitsandbytes-nf4-nested",
    ].map((name) => [
      `weights packed as ${name}`,
      (folder: string) => writePackedFolder(folder, PACKED_MODELS[name] as PackedModel, PACKED_SMALL),
    ]),
  ),
};

function writeFamily(name: string): (folder: string) => void {
  const family = TINY_FAMILIES[name];
  if (family === undefined) throw new Error(`there is no model ${name}`);
  return (folder) => writeFamilyFolder(folder, family, tinyTokenizer());
}

describe.each(Object.entries(FOLDERS))("a folder with %s", (name, write) => {
  const source = join(root, name.replaceAll(" ", "-"));
  beforeAll(() => write(source));

  test(`${MUTATIONS} mutations`, async () => {
    const random = makeRandom(name.length);
    const names = readdirSync(source).sort();
    const outcomes = new Map<string, number>();
    const folder = join(root, "mutated");
    for (let round = 0; round < MUTATIONS; round++) {
      rmSync(folder, { recursive: true, force: true });
      cpSync(source, folder, { recursive: true });
      const file = names[random(names.length)] as string;
      const mutated = mutateFile(file, new Uint8Array(readFileSync(join(source, file))), random);
      writeFileSync(join(folder, file), mutated);
      const outcome = await tryConvert(folder, `round ${round}, ${file}`);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    // Both ends were met, or the mutations are too weak or too wild.
    expect(outcomes.get("whole") ?? 0).toBeGreaterThan(MUTATIONS / 20);
    expect(outcomes.get("model_damaged") ?? 0).toBeGreaterThan(MUTATIONS / 20);
  });
});

async function tryConvert(source: string, what: string): Promise<string> {
  const target = join(root, "out.gguf");
  rmSync(target, { force: true });
  const { signal } = new AbortController();
  try {
    await convertModel({ source, target: () => target, outType: "q8_0", force: false, signal, onProgress: () => {} });
  } catch (thrown) {
    if (!(thrown instanceof AppError) || thrown.code === "internal") throw new Error(what, { cause: thrown });
    expect(thrown.hint.length).toBeGreaterThan(0);
    expect(thrown.message.length).toBeLessThan(600);
    expect(readdirSync(root).filter((name) => name.includes("out.gguf"))).toEqual([]);
    return thrown.code;
  }
  withFile(target, (file) => readGgufHeader(file, { tensors: true }));
  return "whole";
}
