// Folders of weights in the registry: what can be converted is listed and says so; what can't is listed with what it is and
// what to do.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ModelEntry } from "../../src/models/entry.ts";
import type { ModelPlace } from "../../src/models/places/places.ts";
import { ModelRegistry } from "../../src/models/registry.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { smallModel } from "../support/raw-gguf.ts";
import { TINIEST, type TinyDecoder, writeTinyFolder } from "../support/tiny-decoders.ts";
import { plainTensors, writeFolderOnly, zipOf } from "../support/torch-folders.ts";

const DEMO = join(import.meta.dir, "../../src/demo/demo.gguf");
let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mlo-weights-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function writeTiny(path: string, changes: Partial<TinyDecoder> = {}): string {
  const folder = join(root, path);
  writeTinyFolder(folder, { ...TINIEST, dtype: "BF16", ...changes }, tinyTokenizer());
  return folder;
}

const registryOf = (options: Partial<ConstructorParameters<typeof ModelRegistry>[0]>) =>
  new ModelRegistry({ models: [], modelsDirs: [], demoPath: null, ...options });
const named = (path: string): ModelEntry[] => [...registryOf({ models: [path] }).list()];
const summary = ({ id, conversion, error }: ModelEntry) => ({ id, conversion, code: error?.code ?? null });

describe("a folder that can be converted", () => {
  test("of PyTorch's checkpoints too", () => {
    const folder = join(root, "Torch");
    const model = { ...TINIEST, dtype: "BF16" as const };
    writeFolderOnly(folder, model);
    writeFileSync(join(folder, "pytorch_model.bin"), zipOf(plainTensors(model)));
    expect(named(folder)).toMatchObject([
      { id: "Torch", path: folder, architecture: "llama", conversion: { file: null } },
    ]);
  });

  test("is a model with what its files tell, and no error", () => {
    const folder = writeTiny("It's tiny");
    const [entry, ...rest] = named(folder);
    expect(rest).toEqual([]);
    expect(entry).toMatchObject({
      id: "It's tiny",
      path: folder,
      files: [folder],
      architecture: "llama",
      quantization: "BF16",
      trainedContextLength: 256,
      conversion: { file: null },
      error: null,
      explicit: true,
      capabilities: { chat: true, completion: true, embedding: true, tools: false },
    });
    expect(entry?.parameterCount).toBeGreaterThan(1_000);
    expect(entry?.sizeBytes).toBeGreaterThan(2 * (entry?.parameterCount ?? 0));
  });

  test("without a head it gives vectors only", () => {
    const { capabilities } = named(writeTiny("m", { architecture: "LlamaModel", isTied: true }))[0] as ModelEntry;
    expect(capabilities).toMatchObject({ chat: false, completion: false, embedding: true });
  });

  test("in a models folder it is called as its folder; parts of it and of pipelines are no models", () => {
    writeTiny("one");
    writeTiny("one/2_Dense");
    writeTiny("owner/two");
    writeTiny("three/two");
    writeTiny("pipeline/text_encoder");
    writeFileSync(join(root, "pipeline/model_index.json"), "{}");
    const registry = registryOf({ modelsDirs: [root] });
    expect(registry.list().map(({ id }) => id)).toEqual(["one", "two", "three/two"]);
  });

  test("beside a GGUF file that is served it is not listed", () => {
    writeFileSync(join(writeTiny("both"), "a.gguf"), smallModel());
    expect(
      registryOf({ modelsDirs: [root] })
        .list()
        .map(({ id }) => id),
    ).toEqual(["a"]);
  });

  test("in the caches of others it has the repository's name", () => {
    writeTiny("hf/models--Qwen--Tiny/snapshots/0123");
    writeTiny("lm/owner/tiny");
    const places: ModelPlace[] = [
      { kind: "hugging-face", folder: join(root, "hf") },
      { kind: "lm-studio", folder: join(root, "lm") },
    ];
    const found = registryOf({ places }).list().map(summary);
    const conversion = { file: null };
    expect(found).toEqual([
      { id: "Qwen/Tiny", conversion, code: null },
      { id: "owner/tiny", conversion, code: null },
    ]);
    const snapshot = join(root, "hf/models--Qwen--Tiny/snapshots/0123");
    expect(named(snapshot)[0]).toMatchObject({ id: "Qwen/Tiny", aliases: ["0123"] });
  });

  test("is no reason to hide the demo, nor the model of those who name none, unless somebody named it", () => {
    const folder = writeTiny("m");
    const found = registryOf({ modelsDirs: [root], demoPath: DEMO });
    expect([found.list().map(({ id }) => id), found.defaultEntry()?.id]).toEqual([["m", "demo"], "demo"]);
    const asked = registryOf({ models: [folder], demoPath: DEMO });
    expect([asked.list().map(({ id }) => id), asked.defaultEntry()?.id]).toEqual([["m"], "m"]);
  });

  test("once it is converted, the file says what it is", () => {
    const folder = writeTiny("m");
    let file: string | null = null;
    const registry = registryOf({ modelsDirs: [root], findConverted: () => file, demoPath: DEMO });
    expect(registry.resolve("m").conversion).toEqual({ file: null });
    file = DEMO;
    registry.rescan();
    const entry = registry.resolve("m");
    expect(entry).toMatchObject({
      path: folder,
      conversion: { file: DEMO },
      quantization: "Q8_0",
      hasChatTemplate: true,
    });
    expect(registry.defaultEntry()?.id).toBe("m");
  });

  test("is not ours to delete", () => {
    writeTiny("m");
    const registry = registryOf({ modelsDirs: [root], ownFolder: root });
    expect(() => registry.remove("m")).toThrow("a folder of weights");
  });
});

describe("what can't be served says what it is", () => {
  test("another architecture", () => {
    const folder = writeTiny("m", { config: { architectures: ["FooForCausalLM"] } });
    const [entry] = named(folder);
    expect(entry).toMatchObject({ id: "m", conversion: null, error: { code: "format_unsupported" } });
    expect(entry?.error?.message).toContain(`${folder} (safetensors`);
    expect(entry?.error?.message).toContain("FooForCausalLM");
  });

  test("damaged weights, also in a models folder", () => {
    const path = join(writeTiny("m"), "model.safetensors");
    truncateSync(path, 1_000);
    const [entry] = registryOf({ modelsDirs: [root] }).list();
    expect(entry).toMatchObject({ id: "m", conversion: null, error: { code: "model_damaged" } });
    expect(() => registryOf({ models: [join(root, "m")] }).resolve("m")).not.toThrow();
  });

  test("a Core ML model that was named", () => {
    const folder = join(root, "m.mlmodelc");
    mkdirSync(folder);
    for (const name of ["coremldata.bin", "model.mil"]) writeFileSync(join(folder, name), "x");
    const [entry] = named(folder);
    expect(entry?.error).toMatchObject({ code: "format_unsupported" });
    expect(entry?.error?.message).toContain("(coreml, mlmodelc)");
  });

  test("a file with another content: its hint is the detector's", () => {
    const path = join(root, "m.gguf");
    writeFileSync(path, `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 4000000000\n`);
    const [entry] = named(path);
    expect(entry?.error?.message).toContain("Git-LFS pointer");
    expect(entry?.error?.hint).toEndWith("lfs pull");
  });

  test("a folder of nothing that is known is no model", () => {
    mkdirSync(join(root, "empty"));
    expect(named(join(root, "empty"))).toEqual([]);
  });
});
