// Control groups of this very machine: a child in a group with a limit sees the limit. Where no group can be made it is
// skipped, and said why.

import { afterAll, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { listGroups } from "../../src/hardware/cgroup.ts";
import { systemReader } from "../../src/hardware/reader.ts";

const LIMIT = 2 * 1024 ** 3;
const ROOT = join(import.meta.dir, "../..");
const NAME = `mlo-test-${process.pid}`;

/** A group below our own with a limit, or why there is none. */
function makeGroup(): { folder: string } | { reason: string } {
  const [own] = listGroups("memory", systemReader.text);
  if (own === undefined) return { reason: "there are no control groups" };
  const folder = join(own.path, NAME);
  try {
    mkdirSync(join(folder, "inner"), { recursive: true });
    writeFileSync(join(folder, own.version === 1 ? "memory.limit_in_bytes" : "memory.max"), String(LIMIT));
    // A group with processes may have no groups with limits below it (version 2): then this fails.
    readFileSync(join(folder, "inner", own.version === 1 ? "memory.limit_in_bytes" : "memory.max"));
    return { folder };
  } catch (thrown) {
    return { reason: (thrown as Error).message };
  }
}

const group = makeGroup();
const folder = "folder" in group ? group.folder : null;
if ("reason" in group) console.log(`skipped: no control group can be made here: ${group.reason}`);
afterAll(() => {
  for (const path of folder === null ? [] : [join(folder, "inner"), folder]) rmdirSync(path);
});

test.skipIf(folder === null)("a process two groups down is limited by the upper one", async () => {
  const script = `
    require("node:fs").writeFileSync(${JSON.stringify(join(folder ?? "", "inner", "cgroup.procs"))}, String(process.pid));
    const { readMemory } = require("./src/hardware/memory.ts");
    const { systemReader } = require("./src/hardware/reader.ts");
    console.log(JSON.stringify(readMemory(systemReader.text, () => null)));
  `;
  const child = Bun.spawn([process.execPath, "-e", script], { cwd: ROOT, stderr: "inherit" });
  const memory = JSON.parse(await new Response(child.stdout).text());
  expect(await child.exited).toBe(0);
  expect(memory.totalBytes).toBe(LIMIT);
  expect(memory.limitedBy).toBe(folder);
  expect(memory.availableBytes).toBeGreaterThan(LIMIT / 2);
  expect(memory.availableBytes).toBeLessThan(LIMIT);
});
