// Every fixture of the corpus gets its verdict, within bounds on what is read; on a real disk as well as in memory.

import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { detectFormat, NothingThereError } from "../../src/formats/detect.ts";
import { GGUF_ARCHITECTURES } from "../../src/formats/gguf/architectures.ts";
import { memoryFiles } from "../support/memory-files.ts";
import { FIXTURES } from "./corpus.ts";
import type { Expected, Fixture } from "./corpus-fixture.ts";

const ROOT = join(import.meta.dir, "../..");

/** What the expectation names, out of what was found. */
function pick(fixture: Fixture): Record<string, unknown> {
  const found = detectFormat(fixture.path, { source: memoryFiles(fixture.files, fixture.sizes) });
  const { command, reason } = found.guidance;
  const all: Record<string, unknown> = { ...found, command, reason, missing: found.missing.join("\n") };
  return Object.fromEntries(Object.keys(fixture.expected).map((key) => [key, all[key]]));
}

function wanted({ missing, reason, ...rest }: Expected): Record<string, unknown> {
  const parts = Object.entries({ missing, reason }).filter(([, text]) => text !== undefined);
  return { ...rest, ...Object.fromEntries(parts.map(([key, text]) => [key, expect.stringContaining(text as string)])) };
}

describe("the corpus", () => {
  test("has at least 120 fixtures, each with its own name", () => {
    expect(FIXTURES.length).toBeGreaterThanOrEqual(120);
    expect(new Set(FIXTURES.map((fixture) => fixture.name)).size).toBe(FIXTURES.length);
  });

  test.each(FIXTURES.map((fixture) => [fixture.name, fixture] as const))("%s", (_name, fixture) => {
    expect(pick(fixture)).toEqual(wanted(fixture.expected));
  });

  test("a verdict of every kind explains itself", () => {
    for (const fixture of FIXTURES) {
      const { guidance, verdict, missing } = detectFormat(fixture.path, {
        source: memoryFiles(fixture.files, fixture.sizes),
      });
      expect(guidance.reason).toMatch(/\.$/);
      if (verdict === "runs" || verdict.startsWith("convertible")) {
        expect(guidance.command).toStartWith("ml-offload ");
        expect(missing).toEqual([]);
      }
    }
  });

  test("reads little: each byte of a header a few times at most, and of a large file its head and its end", () => {
    for (const fixture of FIXTURES) {
      const source = memoryFiles(fixture.files, fixture.sizes);
      detectFormat(fixture.path, { source });
      const bytes = Object.values(fixture.files).reduce((sum, file) => sum + file.byteLength, 0);
      expect({ name: fixture.name, within: source.readBytes <= 8 * bytes + 300 * 1024 }).toEqual({
        name: fixture.name,
        within: true,
      });
    }
  });
});

describe("on disk", () => {
  test("each fixture gets the same answer", () => {
    const root = mkdtempSync(join(tmpdir(), "mlo-corpus-"));
    try {
      for (const [index, fixture] of FIXTURES.entries()) {
        const base = join(root, String(index));
        for (const [path, bytes] of Object.entries(fixture.files)) {
          mkdirSync(dirname(join(base, path)), { recursive: true });
          writeFileSync(join(base, path), bytes);
        }
        if (fixture.sizes !== undefined) continue;
        const { format, variant, verdict, missing } = detectFormat(join(base, fixture.path));
        const memory = detectFormat(fixture.path, { source: memoryFiles(fixture.files) });
        const { format: f, variant: v, verdict: w, missing: m } = memory;
        expect({ name: fixture.name, format, variant, verdict, missing }).toEqual({
          name: fixture.name,
          format: f,
          variant: v,
          verdict: w,
          missing: m,
        });
      }
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  test("nothing, a device, a folder in a circle", () => {
    expect(() => detectFormat("/no/such/file")).toThrow(NothingThereError);
    expect(detectFormat("/dev/null").verdict).toBe("unsupported");
    const root = mkdtempSync(join(tmpdir(), "mlo-circle-"));
    try {
      mkdirSync(join(root, "refs"));
      symlinkSync(root, join(root, "snapshots"));
      expect(detectFormat(root).format).toBe("folder");
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  test("the demo model runs", () => {
    const found = detectFormat(join(ROOT, "src/demo/demo.gguf"));
    expect(found).toMatchObject({ format: "gguf", verdict: "runs", architecture: "llama", parameterCount: 1_185_152 });
  });
});

test("the list of architectures is the vendored llama.cpp's", () => {
  const source = readFileSync(join(ROOT, "vendor/llama.cpp/src/llama-arch.cpp"), "utf8");
  const named = [...source.matchAll(/\{\s*LLM_ARCH_\w+,\s*"([^"]+)"/g)].map((match) => match[1] ?? "");
  const known = named.filter((name) => name !== "clip" && name !== "(unknown)");
  expect([...GGUF_ARCHITECTURES].sort()).toEqual(known.sort());
});
