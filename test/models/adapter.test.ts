// `--lora FILE[=SCALE]`: what is read of a file before anything is loaded, and what ends the start.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readAdapters } from "../../src/models/adapter.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { SMALL_LORA, writeLora } from "../support/lora-builder.ts";
import { TINY_SPEC } from "../support/model-specs.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-lora-"));
const good = join(folder, "good.gguf");
writeLora(good, TINY_SPEC, SMALL_LORA, {
  metadata: {
    "adapter.lora.task_name": { type: "string", value: "sql" },
    "adapter.lora.prompt_prefix": { type: "string", value: "SQL:" },
  },
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function refusal(settings: string[]): AppError {
  try {
    readAdapters(settings);
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was refused");
}

describe("readAdapters", () => {
  test("none", () => {
    expect(readAdapters([])).toEqual([]);
  });

  test("files in their order, with scales and what they say of themselves", () => {
    const read = readAdapters([good, `${good}=0.5`, `${good}=-1e1`, `${good}=0`]);
    expect(read.map(({ adapter }) => [adapter.id, adapter.scale])).toEqual([
      [0, 1],
      [1, 0.5],
      [2, -10],
      [3, 0],
    ]);
    expect(read[1]).toMatchObject({
      file: good,
      adapter: { path: "good.gguf", taskName: "sql", promptPrefix: "SQL:" },
    });
  });

  test("a name with `=` in it is a name, unless a number follows", () => {
    const path = join(folder, "a=b.gguf");
    writeLora(path, TINY_SPEC, SMALL_LORA);
    expect(readAdapters([path, `${path}=2`]).map(({ file, adapter }) => [file, adapter.scale])).toEqual([
      [path, 1],
      [path, 2],
    ]);
  });

  test("what can't be used is refused by name", () => {
    const bad = join(folder, "bad.gguf");
    writeFileSync(bad, "no GGUF");
    const model = join(import.meta.dir, "../../src/demo/demo.gguf");
    for (const path of [bad, model, join(folder, "nothing.gguf"), folder]) {
      const { code, message } = refusal([good, path]);
      expect([code, message.includes(path)]).toEqual(["format_unsupported", true]);
    }
    expect(refusal([`${good}=1000`])).toMatchObject({ code: "invalid_request" });
    expect(refusal(Array(17).fill(good)).message).toContain("at most 16");
  });
});
