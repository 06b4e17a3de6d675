// Grammars that can read a text in very many ways, or reach a rule by very many: they take a bounded time.

import { beforeAll, describe, expect, test } from "bun:test";
import type { NativeLibrary } from "../../src/ffi/library.ts";
import { NativeModel } from "../../src/ffi/model.ts";
import { NativeSampler } from "../../src/ffi/sampler.ts";
import { lowerSchema } from "../../src/protocol/schema/lower.ts";
import { finish } from "../support/finish.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { TINY_SPEC } from "../support/model-specs.ts";

/** Doubling at each level takes longer than the world has been there. */
const LEVELS = 60;
const DONE_MS = 5000;

const next = { $ref: "#/$defs/n" };
const one = { type: "object", properties: { a: next }, required: ["a"] };
const OBJECTS = {
  $ref: "#/$defs/n",
  $defs: { n: { anyOf: [one, { ...one, properties: { a: next, b: {} } }, { type: "null" }] } },
};
const list = { type: "array", items: next };
const LISTS = { $ref: "#/$defs/n", $defs: { n: { anyOf: [list, { ...list, maxItems: 3 }, { type: "null" }] } } };

describe.skipIf(!HAS_NATIVE)("grammars in bounded time", () => {
  let library: NativeLibrary;
  beforeAll(async () => {
    ({ library } = await openLlama());
  });

  test.each([
    ["objects", OBJECTS, '{"a":', "}", '{"b":1}'],
    ["lists", LISTS, "[", "]", "[1]"],
  ])("%s that are alike at each level", (_, source, open, close, wrong) => {
    const { schema, relaxed } = lowerSchema(source);
    expect(relaxed).toEqual([]);
    const started = performance.now();
    const around = (inner: string) => open.repeat(LEVELS) + inner + close.repeat(LEVELS);
    expect(library.schemaAccepts(schema, around("null"))).toBe(true);
    expect(library.schemaAccepts(schema, around(wrong))).toBe(false);
    expect(library.schemaAccepts(schema, around("null").slice(0, -1))).toBe(false);
    expect(performance.now() - started).toBeLessThan(DONE_MS);
  });

  test("a rule that is reached in many ways is looked at once", () => {
    using model = finish(NativeModel.load(library, cacheModel(TINY_SPEC), { gpuLayers: 0 }));
    const rules = Array.from({ length: LEVELS }, (_, i) => `r${i} ::= r${i + 1} "x" | r${i + 1} "y"`);
    const grammar = ["root ::= r0", ...rules, `r${LEVELS} ::= "z"`].join("\n");
    const started = performance.now();
    using _ = NativeSampler.make(model, { grammar }, null);
    expect(performance.now() - started).toBeLessThan(DONE_MS);
    expect(() => NativeSampler.make(model, { grammar: `${grammar}\nleft ::= left "a"` }, null)).toThrow("grammar");
  });
});
