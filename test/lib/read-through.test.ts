// Files that are read for the page cache alone.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readThrough } from "../../src/lib/read-through.ts";

test("whole files, up to a limit, and only for as long as somebody wants it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mlo-read-"));
  try {
    const paths = ["a", "b"].map((name) => join(folder, name));
    for (const path of paths) writeFileSync(path, new Uint8Array(5_000_000));
    const { signal } = new AbortController();
    expect(await readThrough(paths, 1e9, signal)).toBe(10_000_000);
    expect(await readThrough(paths, 6_000_000, signal)).toBe(6_000_000);
    expect(await readThrough(paths, 0, signal)).toBe(0);
    const stopped = new AbortController();
    stopped.abort();
    expect(await readThrough(paths, 1e9, stopped.signal)).toBe(0);
    expect(readThrough([join(folder, "nope")], 1, signal)).rejects.toThrow("ENOENT");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
