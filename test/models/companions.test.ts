// Which files go with which models: by metadata, by names, by the folder, and when they stay alone.

import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { familyOf } from "../../src/models/lineage.ts";
import { ModelRegistry } from "../../src/models/registry.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { smallModel, stringEntry } from "../support/raw-gguf.ts";

let made = 0;
/** Different in each file, so that none is a second copy of another. */
const model = (architecture = "llama", ...pairs: [string, string][]) =>
  smallModel(
    [...pairs, ["test.number", String(made++)] as const].map(([key, value]) => stringEntry(key, value)),
    architecture,
  );
const adapter = (architecture: string, ...pairs: [string, string][]) =>
  model(architecture, ["general.type", "adapter"], ["adapter.type", "lora"], ...pairs);
const projector = (...pairs: [string, string][]) => model("clip", ["general.type", "mmproj"], ...pairs);

function registryOf(files: Record<string, Uint8Array>, named: readonly string[] = []): ModelRegistry {
  const root = mkdtempSync(join(tmpdir(), "mlo-companions-"));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  const models = named.map((name) => join(root, name));
  return new ModelRegistry({ models, modelsDirs: [root], demoPath: null, clock: new FakeClock() });
}

/** Model → the names of what goes with it. */
const listed = (registry: ModelRegistry) =>
  Object.fromEntries(registry.list().map(({ id, companions }) => [id, companions.map(({ name }) => name)]));

describe("a projector goes", () => {
  test("with all quantisations of its model's name, and not with others", () => {
    const registry = registryOf({
      "gemma-3-4b-it-Q4_K_M.gguf": model(),
      "gemma-3-4b-it-Q8_0.gguf": model(),
      "mmproj-gemma-3-4b-it-f16.gguf": projector(),
      "qwen3-8b-Q4_K_M.gguf": model(),
    });
    expect(listed(registry)).toEqual({
      "gemma-3-4b-it-Q4_K_M": ["mmproj-gemma-3-4b-it-f16"],
      "gemma-3-4b-it-Q8_0": ["mmproj-gemma-3-4b-it-f16"],
      "qwen3-8b-Q4_K_M": [],
    });
  });

  test("without a name of its own with the one model of its folder", () => {
    const files = { "a/m-Q4_0.gguf": model(), "a/m-Q8_0.gguf": model(), "a/mmproj-model-f16.gguf": projector() };
    expect(listed(registryOf(files))).toEqual({ "m-Q4_0": ["mmproj-model-f16"], "m-Q8_0": ["mmproj-model-f16"] });
  });

  test("with none where several could be meant, and then says what it is", () => {
    const registry = registryOf({ "one.gguf": model(), "two.gguf": model(), "mmproj-F16.gguf": projector() });
    expect(listed(registry)).toEqual({ "mmproj-F16": [], one: [], two: [] });
    expect(registry.resolve("mmproj-F16").error?.message).toContain("mmproj");
  });

  test("with none that is broken, or in another folder", () => {
    const files = { "a/gemma.gguf": model().subarray(0, 300), "a/mmproj-gemma.gguf": projector(), "b/x.gguf": model() };
    expect(listed(registryOf(files))).toEqual({ gemma: [], "mmproj-gemma": [], x: [] });
  });

  test("nowhere when a person named it", () => {
    const files = { "gemma.gguf": model(), "mmproj-gemma.gguf": projector() };
    expect(listed(registryOf(files, ["mmproj-gemma.gguf"]))).toEqual({ "mmproj-gemma": [], gemma: [] });
  });
});

describe("an adapter goes", () => {
  const base = "general.base_model.0";

  test("with the model that its metadata names, wherever that is", () => {
    const registry = registryOf({
      "models/tiny-v1-Q8_0.gguf": model("llama", ["general.name", "Tiny V1"]),
      "models/other.gguf": model("llama", ["general.name", "Other"]),
      "loras/poems.gguf": adapter("llama", [`${base}.name`, "Tiny v1"]),
      "loras/verse.gguf": adapter("llama", [`${base}.repo_url`, "https://huggingface.co/owner/tiny-v1"]),
    });
    expect(listed(registry)).toEqual({ other: [], "tiny-v1-Q8_0": ["poems", "verse"] });
  });

  test("never with a model of another architecture", () => {
    const registry = registryOf({
      "tiny.gguf": model("qwen3", ["general.name", "Tiny"]),
      "tiny-lora.gguf": adapter("llama", [`${base}.name`, "Tiny"]),
    });
    expect(listed(registry)).toEqual({ tiny: [], "tiny-lora": [] });
    expect(registry.resolve("tiny-lora").error?.message).toContain('"adapter"');
  });
});

describe("a draft goes", () => {
  test("with the model that its name begins like", () => {
    const registry = registryOf({
      "Small-3.1-24B-Q4_K_M.gguf": model(),
      "Small-3.1-DRAFT-0.5B-Q8_0.gguf": model(),
      "Qwen3-0.6B.gguf": model(),
    });
    expect(listed(registry)).toEqual({ "Qwen3-0.6B": [], "Small-3.1-24B-Q4_K_M": ["Small-3.1-DRAFT-0.5B-Q8_0"] });
  });

  test("nowhere without one, and is a model", () => {
    const registry = registryOf({ "x-draft.gguf": model() });
    expect(registry.resolve("x-draft").error).toBeNull();
  });

  test("with its model when it is a head", () => {
    const head = model("eagle3", ["general.base_model.0.name", "Big One"]);
    const registry = registryOf({ "big-one-Q4_0.gguf": model(), "heads/head.gguf": head });
    expect(listed(registry)).toEqual({ "big-one-Q4_0": ["head"] });
  });
});

test("a request for a companion is told whose it is", () => {
  const registry = registryOf({ "gemma.gguf": model(), "mmproj-gemma.gguf": projector() });
  const ask = () => registry.resolve("mmproj-gemma.gguf");
  expect(ask).toThrow(AppError);
  expect(ask).toThrow('"mmproj-gemma" is the projector of the model "gemma"');
});

test.each([
  ["gemma-3-4b-it-Q4_K_M.gguf", "gemma34bit"],
  ["mmproj-gemma-3-4b-it-f16.gguf", "gemma34bit"],
  ["gemma-3-4b-it-mmproj.gguf", "gemma34bit"],
  ["mmproj-model-fp16.gguf", ""],
  ["Big-00001-of-00003.gguf", "big"],
  ["Small-3.1-DRAFT-0.5B.gguf", "small31"],
  ["draft-small.gguf", "small"],
])("the family of %s is %p", (name, family) => {
  expect(familyOf(name)).toBe(family);
});
