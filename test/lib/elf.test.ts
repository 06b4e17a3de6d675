// What an ELF library needs, against the reader of the tests, and files that are none.

import { afterAll, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readNeededLibraries } from "../../src/lib/elf.ts";
import { readElf } from "../support/elf.ts";
import { HAS_NATIVE, NATIVE_FOLDER } from "../support/llama-library.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-elf-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const hasElf = HAS_NATIVE && process.platform === "linux";
if (!hasElf) console.error("skipped: there is no ELF library here to read");

test.skipIf(!hasElf)("the libraries that a real one needs", () => {
  const path = join(NATIVE_FOLDER, "libmlo.so");
  const needed = readNeededLibraries(path);
  expect(needed).toContain("libggml-base.so");
  expect(needed).toEqual(readElf(path).needed);
});

test.skipIf(!hasElf)("one that was cut short anywhere is damaged, and no reason to fail", () => {
  const copy = join(folder, "cut.so");
  copyFileSync(join(NATIVE_FOLDER, "libggml-base.so"), copy);
  const whole = readNeededLibraries(copy);
  for (const bytes of [1_000_000, 4096, 1000, 64, 63, 0]) {
    truncateSync(copy, bytes);
    const read = readNeededLibraries(copy);
    if (read !== null) expect(read).toEqual(whole as string[]);
    if (bytes < 4096) expect(read).toBeNull();
  }
});

test.each([
  ["text", "This is no library, although it is named like one. ".repeat(4)],
  ["32 bits", `\x7fELF\x01\x01${"\0".repeat(100)}`],
  ["tables that lie far outside", `\x7fELF\x02\x01${"\x7f".repeat(100)}`],
])("%s is none", (name, content) => {
  const path = join(folder, `${name}.so`);
  writeFileSync(path, Buffer.from(content, "latin1"));
  expect(readNeededLibraries(path)).toBeNull();
});
