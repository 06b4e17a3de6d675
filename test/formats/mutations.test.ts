// Damaged files of every format: each gets an answer, whatever is wrong with it, and costs little. 100,000 of them, or as
// many as fit into 20 seconds; `ML_OFFLOAD_MUTATIONS=100000` runs that many however long it takes, `ML_OFFLOAD_MUTATION_SEED` begins at another
// place, and a failure names its seed.

import { expect, test } from "bun:test";
import { detectFormat } from "../../src/formats/detect.ts";
import { memoryFiles } from "../support/memory-files.ts";
import { FIXTURES } from "./corpus.ts";
import { mutate } from "./mutate.ts";

const COUNT = Number(process.env.ML_OFFLOAD_MUTATIONS ?? 100_000);
const START = Number(process.env.ML_OFFLOAD_MUTATION_SEED ?? 1);
/** Of the everyday test; a run with a count of its own has no limit. */
const TIME_MS_MAX = process.env.ML_OFFLOAD_MUTATIONS === undefined ? 20_000 : Number.POSITIVE_INFINITY;
/** The slowest healthy answer takes some milliseconds; a stall of the machine is not one of ours. */
const ONE_MS_MAX = 2_000;
const VERDICTS = ["runs", "convertible", "convertible-with-loss", "unsupported", "damaged"];
/** A zip bomb of the corpus has 8 MB; mutated, its claim may grow. */
const READ_BYTES_MAX = 32 * 1024 * 1024;

test(
  "every mutation gets an answer",
  () => {
    const began = performance.now();
    const verdicts = new Map<string, number>();
    let count = 0;
    let slowest = { ms: 0, seed: 0 };
    for (; count < COUNT && performance.now() - began < TIME_MS_MAX; count++) {
      const seed = START + count;
      const fixture = mutate(FIXTURES, seed);
      const source = memoryFiles(fixture.files, fixture.sizes);
      const at = performance.now();
      const found = attempt(() => detectFormat(fixture.path, { source, thorough: seed % 2 === 0 }), fixture.name);
      const ms = performance.now() - at;
      if (ms > slowest.ms) slowest = { ms, seed };
      verdicts.set(found.verdict, (verdicts.get(found.verdict) ?? 0) + 1);
      if (!VERDICTS.includes(found.verdict) || found.guidance.reason === "" || source.readBytes > READ_BYTES_MAX) {
        throw new Error(`${fixture.name}: ${JSON.stringify(found)} after ${source.readBytes} bytes`);
      }
    }
    const shares = [...verdicts].map(([verdict, times]) => `${verdict} ${times}`).join(", ");
    console.info(
      `${count} mutations from seed ${START}: ${shares}; slowest ${slowest.ms.toFixed(1)} ms (seed ${slowest.seed})`,
    );
    expect(count).toBeGreaterThan(100);
    expect(slowest.ms).toBeLessThan(ONE_MS_MAX);
    // Some are harmless, most are not: a detector that says the same to everything is none.
    expect(verdicts.size).toBeGreaterThanOrEqual(4);
  },
  { timeout: 3_600_000 },
);

function attempt<T>(run: () => T, name: string): T {
  try {
    return run();
  } catch (thrown) {
    throw new Error(`${name}: ${thrown instanceof Error ? thrown.stack : String(thrown)}`);
  }
}
