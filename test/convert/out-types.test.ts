// The table of types: names and numbers are llama.cpp's, and what people write is found in it.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  factsOf,
  findOutType,
  isPlainType,
  OUT_TYPES,
  PLAIN_TYPES,
  parseOutType,
  QUANTIZED_TYPES,
} from "../../src/convert/out-types.ts";
import { quantizationName } from "../../src/formats/gguf/file-types.ts";
import { locateLlamaSource } from "../support/tokenizers.ts";

describe("types of files", () => {
  test("names stand for llama.cpp's numbers, each once", () => {
    for (const type of OUT_TYPES) expect(quantizationName(factsOf(type).fileType)).toBe(type.toUpperCase());
    expect(new Set(OUT_TYPES.map((type) => factsOf(type).fileType)).size).toBe(OUT_TYPES.length);
  });

  test("smaller ones come later, and those that need an importance matrix are small", () => {
    const bits = QUANTIZED_TYPES.map((type) => factsOf(type).bitsPerWeight);
    expect(bits).toEqual(bits.toSorted((a, b) => b - a));
    for (const type of OUT_TYPES) if (factsOf(type).needsImatrix) expect(factsOf(type).bitsPerWeight).toBeLessThan(4);
  });

  test("what llama-quantize offers and is left out here is known", () => {
    const source = locateLlamaSource();
    if (source === null) return console.error("skipped: vendor/llama.cpp is missing; `npm run setup` fetches it");
    const tool = readFileSync(join(source, "tools/quantize/quantize.cpp"), "utf8");
    const offered = [...tool.matchAll(/\{ "(\w+)", *LLAMA_FTYPE_\w+,/g)].map((match) => match[1]?.toLowerCase() ?? "");
    expect(offered.length).toBeGreaterThan(30);
    const unknown = offered.filter((name) => findOutType(name) === null);
    // For ternary and 1-bit models, of experts alone, and no type at all.
    expect(unknown.sort()).toEqual(["copy", "mxfp4_moe", "q1_0", "q2_0", "tq1_0", "tq2_0"]);
    expect(OUT_TYPES.filter((type) => !offered.includes(type))).toEqual([]);
  });

  test("names are taken in any case, with llama.cpp's short forms", () => {
    expect(parseOutType("Q4_K_M", "--outtype")).toBe("q4_k_m");
    expect(parseOutType("AUTO", "--outtype")).toBe("auto");
    expect(findOutType("q5_k")).toBe("q5_k_m");
    expect(findOutType("toString")).toBeNull();
    expect(PLAIN_TYPES.every(isPlainType)).toBe(true);
    expect(QUANTIZED_TYPES.some(isPlainType)).toBe(false);
  });

  test("another name is refused with those that there are", () => {
    expect(() => parseOutType("q4", "--outtype")).toThrow(
      '--outtype must be a type that models are converted to, not "q4"',
    );
  });
});
