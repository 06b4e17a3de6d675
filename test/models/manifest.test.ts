// What a header says about a model, and what files that can't be served are answered with.

import { describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { quantizationName } from "../../src/formats/gguf/file-types.ts";
import { NO_CAPABILITIES } from "../../src/models/capability.ts";
import { readManifest } from "../../src/models/manifest.ts";
import { rawGguf, smallModel, stringEntry, tensorEntry, u32Entry } from "../support/raw-gguf.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-manifest-"));
let written = 0;

function onDisk(content: Uint8Array | string): string {
  const path = join(folder, `m${written++}.gguf`);
  writeFileSync(path, content);
  return path;
}

describe("a manifest", () => {
  test("of a chat model", () => {
    expect(readManifest([onDisk(smallModel([stringEntry("tokenizer.chat_template", "{{x}}")]))])).toEqual({
      manifest: {
        architecture: "llama",
        quantization: "Q8_0",
        parameterCount: 64,
        trainedContextLength: 4096,
        embeddingLength: 32,
        hasChatTemplate: true,
        pooling: null,
        embeddingPooling: "last",
        capabilities: { ...NO_CAPABILITIES, chat: true, completion: true, embedding: true },
      },
      error: null,
      lineage: { role: "model", names: [], bases: [] },
      incomplete: false,
    });
  });

  test("of an encoder with and without a pooling of its own", () => {
    const bare = readManifest([onDisk(smallModel([], "bert"))]).manifest;
    expect(bare).toMatchObject({ pooling: null, embeddingPooling: "mean" });
    expect(bare.capabilities).toEqual({ ...NO_CAPABILITIES, embedding: true });
    const cls = readManifest([onDisk(smallModel([u32Entry("bert.pooling_type", 2)], "bert"))]).manifest;
    expect(cls).toMatchObject({ pooling: "cls", embeddingPooling: "cls" });
  });

  test("of a model whose metadata make it an encoder, and of a reranker", () => {
    const causal = (out: { text(value: string): { u32(value: number): { u8(value: number): unknown } } }): void =>
      void out.text("llama.attention.causal").u32(7).u8(0);
    expect(readManifest([onDisk(smallModel([causal]))]).manifest.capabilities.completion).toBe(false);
    const rank = readManifest([onDisk(smallModel([u32Entry("bert.pooling_type", 4)], "bert"))]).manifest;
    expect(rank.capabilities.embedding).toBe(false);
    const none = readManifest([onDisk(smallModel([u32Entry("llama.pooling_type", 0)]))]).manifest;
    expect(none.capabilities).toEqual({ ...NO_CAPABILITIES, chat: true, completion: true, embedding: true });
    const decoder = readManifest([onDisk(smallModel([u32Entry("llama.pooling_type", 3)]))]).manifest;
    expect(decoder.capabilities).toEqual({ ...NO_CAPABILITIES, embedding: true });
  });

  test("adds the parts of a split model up", () => {
    const first = onDisk(smallModel([(out) => void out.text("split.count").u32(2).u8(2).u8(0)]));
    const second = onDisk(rawGguf({ tensors: [tensorEntry("t", [8], 0, 0)], dataBytes: 32 }));
    expect(readManifest([first, second])).toMatchObject({ manifest: { parameterCount: 72 }, error: null });
    expect(readManifest([first]).error?.message).toContain("has 2 parts, but there are 1");
  });

  test("leaves unknown things null", () => {
    const bytes = rawGguf({
      metadata: [stringEntry("general.architecture", "novel"), u32Entry("general.file_type", 999)],
      tensors: [tensorEntry("t", [8], 0, 0)],
      dataBytes: 32,
    });
    const { manifest, error } = readManifest([onDisk(bytes)]);
    expect(error).toBeNull();
    expect(manifest).toMatchObject({ architecture: "novel", quantization: null, trainedContextLength: null });
  });

  test("a guessed file type counts", () => {
    expect(quantizationName(1024 + 15)).toBe("Q4_K_M");
  });
});

describe("a file that can't be served", () => {
  const tensor = { tensors: [tensorEntry("t", [8], 0, 0)], dataBytes: 32 };
  const cases: [string, Uint8Array | string, string, RegExp][] = [
    ["an HTML page", "<!DOCTYPE html><html>", "format_unsupported", /HTML page/],
    ["a zip", "PK\u0003\u0004rest", "format_unsupported", /PyTorch checkpoint \(zip\)/],
    ["a Git-LFS pointer", "version https://git-lfs.github.com/spec/v1\noid", "format_unsupported", /Git-LFS/],
    ["safetensors", '\u0040\0\0\0\0\0\0\0{"a":{}}', "format_unsupported", /safetensors/],
    ["a pickle", Uint8Array.of(0x80, 2, 0x8a, 10), "format_unsupported", /pickle/],
    ["gzip", Uint8Array.of(0x1f, 0x8b, 8, 0), "format_unsupported", /gzip/],
    ["zeros", new Uint8Array(64), "format_unsupported", /zero bytes/],
    ["old GGML", "lmgg1234", "format_unsupported", /before GGUF/],
    ["something", "what is this", "format_unsupported", /is not a GGUF file$/],
    ["an empty file", "", "model_damaged", /empty/],
    ["a cut one", smallModel().subarray(0, -10), "model_damaged", /10 bytes are missing/],
    ["a lying one", rawGguf({ tensorCount: 1e9 }), "model_damaged", /1000000000 tensors/],
    ["an old version", rawGguf({ version: 1 }), "format_unsupported", /version 1/],
    ["no architecture", rawGguf(tensor), "model_damaged", /no architecture/],
    [
      "a vocabulary",
      rawGguf({ metadata: [stringEntry("general.architecture", "llama")] }),
      "format_unsupported",
      /no weights/,
    ],
    [
      "a projector",
      rawGguf({ ...tensor, metadata: [stringEntry("general.architecture", "clip")] }),
      "format_unsupported",
      /mmproj/,
    ],
    [
      "an adapter",
      smallModel([stringEntry("general.type", "adapter")]),
      "format_unsupported",
      /"adapter", not a model/,
    ],
  ];

  test.each(cases)("%s", (_name, content, code, says) => {
    const { error } = readManifest([onDisk(content)]);
    expect(error?.message).toMatch(says);
    expect(error?.code).toBe(code as never);
  });

  test("a missing one", () => {
    expect(readManifest([join(folder, "none.gguf")]).error).toMatchObject({ code: "model_damaged" });
    expect(readManifest([folder]).error).toMatchObject({ code: "format_unsupported" });
  });
});
