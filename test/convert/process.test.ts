// The converter as a process: its memory while it converts, and what a kill at any moment leaves.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readGgufHeader } from "../../src/formats/gguf/read-header.ts";
import { withFile } from "../../src/formats/read-at.ts";
import { discoverModels } from "../../src/models/discover.ts";
import { startConvert, watchMemory } from "../support/convert-process.ts";
import { LARGE, writeSparseFolder } from "../support/sparse-folder.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-convert-process-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const LARGEST_BYTES = LARGE.width * LARGE.inner * 2;
const RSS_ANON_MAX = 2 * LARGEST_BYTES + 200e6;
const source = join(root, "Large");
const home = join(root, "home");
const models = join(home, ".local/share/ml-offload/models");

beforeAll(() => writeSparseFolder(source, LARGE));

const start = (outType: string) => startConvert(source, home, outType);

test.skipIf(process.platform !== "linux").each(["bf16", "q8_0"])("memory stays bounded as %s", async (outType) => {
  const child = start(outType);
  const { code, out, largest } = await watchMemory(child);
  expect(code).toBe(0);
  const { elementCount } = withFile(out.trim(), (file) => readGgufHeader(file));
  expect(elementCount).toBeGreaterThan(100e6);
  // It was looked at while it ran.
  expect(largest).toBeGreaterThan(5e6);
  console.log(`${outType}: RssAnon at most ${(largest / 1e6).toFixed(0)} MB`);
  expect(largest).toBeLessThan(RSS_ANON_MAX);
});

test("killed at any moment it leaves nothing that is listed, and the next run is whole", async () => {
  rmSync(models, { recursive: true, force: true });
  let killed = 0;
  for (let round = 0; round < 10; round++) {
    const child = start("f16");
    await Bun.sleep(60 + ((round * 97) % 10) * 60);
    child.kill("SIGKILL");
    if ((await child.exited) !== 0) killed += 1;
    const found = discoverModels({ models: [], modelsDirs: [models] }).models;
    for (const { files } of found) withFile(files[0] ?? "", (file) => readGgufHeader(file));
  }
  expect(killed).toBeGreaterThan(3);
  const child = start("f16");
  expect(await child.exited).toBe(0);
  expect(discoverModels({ models: [], modelsDirs: [models] }).models.map(({ name }) => name)).toEqual(["Large-F16"]);
  const left = readdirSync(models).filter((name) => name.endsWith(".partial"));
  expect(left.length).toBeLessThanOrEqual(killed);
});
