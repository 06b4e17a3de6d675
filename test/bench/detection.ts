#!/usr/bin/env bun
// How long the detector takes: every fixture of the corpus on disk, warm, and any paths that are given behind the command.
// Prints medians; asserts nothing. `npx -y bun@1.4.5 test/bench/detection.ts [PATH...]`

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { detectFormat } from "../../src/formats/detect.ts";
import { FIXTURES } from "../formats/corpus.ts";

const RUNS = 50;

function measure(path: string): number {
  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const began = performance.now();
    detectFormat(path);
    times.push(performance.now() - began);
  }
  return median(times);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const root = mkdtempSync(join(tmpdir(), "mlo-detection-"));
try {
  const byFormat = new Map<string, number[]>();
  for (const [index, fixture] of FIXTURES.entries()) {
    if (fixture.sizes !== undefined) continue;
    const base = join(root, String(index));
    for (const [path, bytes] of Object.entries(fixture.files)) {
      mkdirSync(dirname(join(base, path)), { recursive: true });
      writeFileSync(join(base, path), bytes);
    }
    const { format } = fixture.expected;
    byFormat.set(format, [...(byFormat.get(format) ?? []), measure(join(base, fixture.path))]);
  }
  for (const [format, times] of byFormat) {
    console.info(`${format.padEnd(12)} ${median(times).toFixed(3)} ms (median of ${times.length} fixtures)`);
  }
  console.info(`all          ${median([...byFormat.values()].flat()).toFixed(3)} ms`);
} finally {
  rmSync(root, { recursive: true });
}
for (const path of process.argv.slice(2)) console.info(`${path}: ${measure(path).toFixed(3)} ms`);
