// The types that a plan reckons with before a conversion are those that llama.cpp's quantiser chooses, matrix by matrix.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspectPath } from "../../src/models/inspect.ts";
import { readHeaderFacts } from "../../src/models/memory/header-facts.ts";
import { readShapeOfFiles } from "../../src/models/memory/shape-of-files.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { TINY, type TinyDecoder, writeTinyFolder } from "../support/tiny-decoders.ts";

const ROOT = join(import.meta.dir, "../..");
const folder = mkdtempSync(join(tmpdir(), "mlo-converted-types-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const WIDE: TinyDecoder = { ...TINY, width: 256, inner: 512, layers: 8, headLength: 64 };
const CASES = [TINY, { ...TINY, isTied: true }, WIDE].flatMap((model, at) =>
  ["q4_k_m", "q5_k_m", "q6_k"].map((outType): [string, string, TinyDecoder] => [`model ${at}`, outType, model]),
);

test.each(CASES)("%s as %s", (name, outType, model) => {
  const source = join(folder, name);
  const target = join(folder, `${name}-${outType}.gguf`);
  writeTinyFolder(source, model, tinyTokenizer());
  const command = [process.execPath, join(ROOT, "src/main.ts"), "convert", source, target, "--outtype", outType];
  const { exitCode, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(stderr.toString());
  const facts = readHeaderFacts(inspectPath(source));
  const planned = facts.kind === "weights" ? facts.shapeAs(outType) : null;
  const made = readShapeOfFiles([target]);
  const typesOf = (shape: typeof made) => new Map(shape?.tensors.map(({ name: tensor, type }) => [tensor, type]));
  expect(typesOf(planned).size).toBeGreaterThan(10);
  expect(Object.fromEntries(typesOf(planned))).toEqual(Object.fromEntries(typesOf(made)));
});
