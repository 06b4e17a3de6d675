// Files that flags of the compiled binary name beside the model's: a draft model that can't be used ends the start, and an
// adapter goes to the model that `run` names.

import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { homeEnvironment, runBinary } from "../support/binary.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { SMALL_LORA, writeLora } from "../support/lora-builder.ts";
import { TINY_SPEC } from "../support/model-specs.ts";

const DEMO = join(import.meta.dir, "../../src/demo/demo.gguf");
const folder = mkdtempSync(join(tmpdir(), "mlo-named-"));
const lora = join(folder, "of-tiny.gguf");
writeLora(lora, TINY_SPEC, SMALL_LORA);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (args: string[]) => runBinary(args, { env: homeEnvironment(folder), cwd: folder });

test("a draft model that can't be used ends the start with code 2", async () => {
  for (const path of [join(folder, "none.gguf"), lora]) {
    const refused = await run(["serve", "--port", "0", "--draft-model", path]);
    expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 2, stdout: "" });
    expect(refused.stderr).toContain("--draft-model can't be used: ");
    expect(refused.stderr).toContain(path);
  }
});

describe("run --lora", () => {
  const models = join(folder, "models");
  mkdirSync(models);
  copyFileSync(cacheModel(TINY_SPEC), join(models, "a-first.gguf"));
  copyFileSync(DEMO, join(models, "demo-copy.gguf"));
  const ask = ["--models-dir", models, "--max-tokens", "4", "--temperature", "0", "What is 7 + 8?"];

  test("is for the model that is named, whichever one is the server's default", async () => {
    // It was made for the default model: this one can't have it, and says so.
    const named = await run(["run", "demo-copy", "--lora", lora, ...ask]);
    expect(named).toMatchObject({ code: 1, stdout: "" });
    expect(named.stderr).toContain("of-tiny.gguf can't be used");
    expect((await run(["run", "a-first", "--lora", lora, ...ask])).code).toBe(0);
    expect((await run(["run", "demo-copy", ...ask])).stdout).toBe("15\n");
  });

  test("with a name that nobody has is told so", async () => {
    const unknown = await run(["run", "nobody", "--lora", lora, ...ask]);
    expect(unknown).toMatchObject({ code: 1, stdout: "" });
    expect(unknown.stderr).toContain('"nobody" does not exist');
  });
});
