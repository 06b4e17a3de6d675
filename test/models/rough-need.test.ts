// The rough estimate of what an engine takes: its KV cache by the header's numbers.

import { expect, test } from "bun:test";
import type { GgufValue } from "../../src/formats/gguf/read-metadata.ts";
import { estimateNeedBytes, kvBytesPerToken } from "../../src/models/rough-need.ts";
import { DEMO_PATH } from "../support/fake-inference.ts";

const perToken = (entries: Record<string, GgufValue>): number =>
  kvBytesPerToken({ metadata: new Map([["general.architecture", "x"], ...Object.entries(entries)]) });

const BASE = { "x.block_count": 2, "x.embedding_length": 64, "x.attention.head_count": 4 };
const list = (items: number[]): GgufValue => ({ kind: "array", type: "u32", length: items.length, items });

test.each([
  ["every head has keys and values", BASE, 2 * 4 * 32 * 2],
  ["fewer heads have", { ...BASE, "x.attention.head_count_kv": 2 }, 2 * 2 * 32 * 2],
  ["their lengths are said", { ...BASE, "x.attention.key_length": 8, "x.attention.value_length": 4 }, 2 * 4 * 12 * 2],
  ["a number a layer, which may be none", { ...BASE, "x.attention.head_count_kv": list([0, 3]) }, 3 * 32 * 2],
  [
    "a list that was too long to keep",
    { ...BASE, "x.attention.head_count_kv": { ...(list([]) as object), items: null } as GgufValue },
    2 * 4 * 32 * 2,
  ],
  ["no attention at all", { "x.block_count": 2 }, 0],
] as const)("%s", (_, metadata, expected) => {
  expect(perToken(metadata)).toBe(expected);
});

test("files, cache and process are added up", () => {
  const small = estimateNeedBytes({ path: DEMO_PATH, sizeBytes: 1_000 }, 0);
  const large = estimateNeedBytes({ path: DEMO_PATH, sizeBytes: 2_000 }, 100);
  expect(small).toBe(1_000 + 256 * 1024 ** 2);
  expect(large).toBeGreaterThan(small + 1_000);
  expect(() => estimateNeedBytes({ path: import.meta.path, sizeBytes: 1 }, 1)).toThrow("GGUF");
});
