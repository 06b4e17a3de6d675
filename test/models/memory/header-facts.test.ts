// What headers tell of memory: of a GGUF file, of a folder of weights in the type that it would be converted to, and why of
// others nothing.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeHeaderModel } from "../../../src/commands/server/header-subject.ts";
import { inspectPath } from "../../../src/models/inspect.ts";
import { describeConverted } from "../../../src/models/memory/converted-types.ts";
import { type HeaderFacts, readHeaderFacts } from "../../../src/models/memory/header-facts.ts";
import { convertFolder } from "../../support/convert-folder.ts";
import { tinyTokenizer } from "../../support/hf-tokenizers.ts";
import { rawGguf, stringEntry } from "../../support/raw-gguf.ts";
import { TINY, writeTinyFolder } from "../../support/tiny-decoders.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-header-facts-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const source = join(folder, "tiny");
writeTinyFolder(source, TINY, tinyTokenizer());

const read = (path: string): HeaderFacts => readHeaderFacts(inspectPath(path));
const terms = { simd: [], plugin: "", wantedType: null, largestBytes: null, asked: {} };
const describeAs = (changes: Partial<typeof terms> | { wantedType: string } | { largestBytes: number }) =>
  describeHeaderModel({ id: "tiny", facts: read(source) }, { ...terms, ...changes });

describe("a folder of weights", () => {
  test("is planned for 16 bits where nothing limits it, for what was asked for, or for what fits", () => {
    expect(describeAs({})).toMatchObject({ outType: "f16", stamp: null, subject: { id: "tiny", weightType: "F16" } });
    expect(describeAs({ wantedType: "q8_0" }).subject.weightType).toBe("Q8_0");
    expect(describeAs({ largestBytes: 1 }).outType).toBe("q4_k_m");
  });

  test.each(["f16", "q8_0"] as const)("takes as %s what the converted file has", async (type) => {
    const { path } = await convertFolder(source, type);
    const made = describeHeaderModel({ id: "made", facts: read(path) }, terms);
    expect(made).not.toHaveProperty("outType");
    const planned = describeAs({ wantedType: type }).subject.fileBytes;
    expect(planned).toBeLessThanOrEqual(made.subject.fileBytes);
    const data = made.subject.fileBytes - planned;
    // The header with its vocabulary is not in it.
    expect(data).toBeLessThan(200_000);
  });
});

test.each([
  ["a GGUF file without layers", "bare.gguf", rawGguf({ metadata: [stringEntry("general.architecture", "llama")] })],
  ["something else", "page.gguf", new TextEncoder().encode("<!DOCTYPE html><title>Sign in</title>")],
])("%s has nothing to plan with, and the reason is told", (_name, name, bytes) => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  const facts = read(path);
  expect(facts.kind === "none" ? facts.reason : "").toMatch(/does not tell|can't be/);
  expect(() => describeHeaderModel({ id: "m", facts }, terms)).toThrow("m can't be planned: it");
});

test.each([
  ["{", "is not whole JSON"],
  ["[]", "does not tell its layers"],
])("a config.json with %j is told as the reason", (text, reason) => {
  const other = join(folder, `other${text.length}`);
  mkdirSync(other);
  writeFileSync(join(other, "config.json"), text);
  const found = { ...inspectPath(source), path: other };
  expect(readHeaderFacts(found)).toMatchObject({ kind: "none", reason: expect.stringContaining(reason) });
  rmSync(join(other, "config.json"));
  expect(readHeaderFacts(found)).toMatchObject({ reason: expect.stringContaining("no config.json") });
  expect(readFileSync(join(source, "config.json"), "utf8")).toContain("architectures");
});

test("a mixture of types gives more bits to some matrices, and rows that are no whole blocks another type", () => {
  const typesOf = describeConverted("q4_k_m", { layers: 16, tiesOutput: false, experts: 0 });
  expect(typesOf("output.weight", null)[0]).toBe("Q6_K");
  expect(typesOf("token_embd.weight", null)[0]).toBe("Q4_K");
  const values = Array.from({ length: 16 }, (_, at) => typesOf(`blk.${at}.attn_v.weight`, at)[0]);
  expect(values.filter((type) => type === "Q6_K")).toHaveLength(8);
  expect(typesOf("blk.0.attn_q.weight", 0)).toEqual(["Q4_K", "Q5_0", "F16"]);
  const eight = describeConverted("q5_k_m", { layers: 16, tiesOutput: true, experts: 8 });
  expect([eight("token_embd.weight", null)[0], eight("blk.3.attn_k.weight", 3)[0]]).toEqual(["Q6_K", "Q8_0"]);
  expect(describeConverted("q8_0", { layers: 1, tiesOutput: true, experts: 8 })("token_embd.weight", null)).toEqual([
    "Q8_0",
    "F16",
  ]);
});
