// How long a conversion to a small type takes, and how much memory: a folder of SafeTensors (2 GB of noise in four parts) to
// q4_k_m, against reading the folder and running llama.cpp's llama-quantize on an f16 file of it, which already lies there.
//
//   bun test/bench/convert.ts [--runs N] [--gigabytes N] [--type q4_k_m]
//
// The programs take turns within each run, the page cache is warm for all, and medians are printed. llama-quantize is the
// one that the checks build beside the libraries (build/native/llama-quantize); without it our own quantiser on the same
// file stands in for it, and the output says so. ML_OFFLOAD_BINARY measures a compiled binary.

import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readSync, rmSync, statSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { MAIN } from "../support/convert-command.ts";
import { NATIVE_FOLDER } from "../support/llama-library.ts";
import { fillWeights, listChildren, readRssAnon, writeSparseFolder } from "../support/sparse-folder.ts";
import { TINY, type TinyDecoder } from "../support/tiny-decoders.ts";

/** A layer has 61 million weights, 122 MB as BF16. */
const LAYER: TinyDecoder = { ...TINY, width: 2048, inner: 8192, heads: 32, keyValueHeads: 8, headLength: 64, parts: 4 };
const LAYER_BYTES = 122e6;
const LARGEST_TENSOR_BYTES = LAYER.width * LAYER.inner * 2;

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "3" },
    gigabytes: { type: "string", default: "2" },
    type: { type: "string", default: "q4_k_m" },
  },
});
const outType = values.type;
const command = process.env.ML_OFFLOAD_BINARY ? [process.env.ML_OFFLOAD_BINARY] : [process.execPath, MAIN];
const tool = join(NATIVE_FOLDER, "llama-quantize");
const folder = mkdtempSync(join(tmpdir(), "mlo-bench-convert-"));
const source = join(folder, "source");
const plain = join(folder, "plain.gguf");
const target = join(folder, "target.gguf");

interface Run {
  seconds: number;
  /** Of private memory, the children's included. */
  peakBytes: number;
}

/** Runs a program to its end, and looks at its memory and its children's meanwhile. */
async function measure(words: readonly string[]): Promise<Run> {
  const startMs = performance.now();
  const child = Bun.spawn([...words], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  let peakBytes = 0;
  const timer = setInterval(() => {
    const all = [child.pid, ...listChildren(child.pid)];
    const bytes = all.reduce((sum, pid) => sum + readRssAnon(pid), 0);
    peakBytes = Math.max(peakBytes, bytes);
  }, 20);
  const [log, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  clearInterval(timer);
  if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}:\n${log}`);
  return { seconds: (performance.now() - startMs) / 1000, peakBytes };
}

/** Every byte of the folder, once. */
function readAll(): number {
  const startMs = performance.now();
  const buffer = new Uint8Array(1024 * 1024);
  for (const name of readdirSync(source)) {
    const descriptor = openSync(join(source, name), "r");
    while (readSync(descriptor, buffer) > 0);
    closeSync(descriptor);
  }
  return (performance.now() - startMs) / 1000;
}

async function quantizePlain(): Promise<Run> {
  rmSync(target, { force: true });
  if (existsSync(tool)) return await measure([tool, plain, target, outType]);
  return await measure([...command, "convert", plain, target, "--outtype", outType]);
}

async function convertFolder(): Promise<Run> {
  rmSync(target, { force: true });
  return await measure([...command, "convert", source, target, "--outtype", outType]);
}

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0;
const inMb = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`;

async function main(): Promise<void> {
  const layers = Math.max(1, Math.round((Number(values.gigabytes) * 1e9) / LAYER_BYTES));
  writeSparseFolder(source, { ...LAYER, layers });
  fillWeights(source);
  const sourceBytes = readdirSync(source).reduce((sum, name) => sum + statSync(join(source, name)).size, 0);
  await measure([...command, "convert", source, plain, "--outtype", "f16"]);
  const theirs = existsSync(tool) ? "llama-quantize" : "our own quantiser in place of llama-quantize";
  console.log(
    `${(sourceBytes / 1e9).toFixed(2)} GB in ${LAYER.parts} parts → ${outType}, ${availableParallelism()} cores`,
  );
  const runs: { read: number; quantize: Run; convert: Run }[] = [];
  for (let run = 0; run < Number(values.runs); run++) {
    const one = { read: readAll(), quantize: await quantizePlain(), convert: await convertFolder() };
    runs.push(one);
    const peak = `${inMb(one.convert.peakBytes)} (${theirs}: ${inMb(one.quantize.peakBytes)})`;
    const seconds = [one.read, one.quantize.seconds, one.convert.seconds].map((value) => value.toFixed(1));
    console.log(`read ${seconds[0]} s, ${theirs} ${seconds[1]} s, convert ${seconds[2]} s, RssAnon at most ${peak}`);
  }
  const read = median(runs.map((run) => run.read));
  const quantize = median(runs.map((run) => run.quantize.seconds));
  const convert = median(runs.map((run) => run.convert.seconds));
  const ratio = convert / (read + quantize);
  const peak = Math.max(...runs.map((run) => run.convert.peakBytes));
  const bound = 2 * LARGEST_TENSOR_BYTES + 200e6;
  console.log(`median: convert ${convert.toFixed(1)} s = ${ratio.toFixed(2)} × (read + quantise), at most 1.5`);
  console.log(`RssAnon of command and quantiser together: ${inMb(peak)}, at most ${inMb(bound)}`);
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
