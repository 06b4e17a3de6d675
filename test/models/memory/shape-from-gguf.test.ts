// Headers that lie have no shape: nothing is counted with them, and nothing grows with what they say.

import { expect, test } from "bun:test";
import type { GgufValue } from "../../../src/formats/gguf/read-metadata.ts";
import { readShape } from "../../../src/models/memory/shape-from-gguf.ts";

const shapeOf = (layers: number, width: number) =>
  readShape([
    {
      metadata: new Map<string, GgufValue>([
        ["general.architecture", "llama"],
        ["llama.block_count", layers],
        ["llama.embedding_length", width],
      ]),
      tensors: [],
    },
  ]);

test.each([
  [0, 64],
  [1, 0],
  [-1, 64],
  [1.5, 64],
  [513, 64],
  [2 ** 32 - 1, 64],
  [Number.NaN, 64],
  [1, 2 ** 32 - 1],
  [1, Number.POSITIVE_INFINITY],
])("%p layers of width %p are none", (layers, width) => {
  expect(shapeOf(layers, width)).toBeNull();
});

test("llama.cpp's most layers are some", () => {
  expect(shapeOf(512, 64)?.layers).toHaveLength(512);
});
