// `convert`: a SafeTensors folder → a GGUF file, with progress on stderr and the file's path on stdout. Ctrl-C leaves
// nothing behind.

import { mkdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { type ConvertReport, convertModel, identify, OUT_TYPES, type OutType } from "../convert/convert-model.ts";
import { labelSize } from "../convert/model-name.ts";
import { type Environment, resolveFolders } from "../lib/paths.ts";
import { quotePath } from "../lib/shell-quote.ts";
import { AppError } from "../protocol/errors.ts";
import { ConvertProgress, describeBytes } from "./convert-progress.ts";
import { EXIT_CODES, type ExitCode } from "./exit-codes.ts";

export interface ConvertArguments {
  source: string;
  /** A file or a folder; null: the models folder, where `serve` finds it. */
  target: string | null;
  outType: string;
  force: boolean;
}

export interface ConvertOutput {
  stdout: { write(text: string): unknown };
  stderr: { write(text: string): unknown; isTTY?: boolean };
}

export async function convert(
  args: ConvertArguments,
  env: Environment,
  output: ConvertOutput = process,
): Promise<ExitCode> {
  const outType = checkOutType(args.outType);
  const source = resolve(args.source);
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, onSignal);
  const progress = new ConvertProgress(output.stderr, () => performance.now());
  const startMs = performance.now();
  try {
    const report = await convertModel({
      source,
      target: (type) => placeTarget(args.target, identify(source), type, env),
      outType,
      force: args.force,
      signal: stop.signal,
      onProgress: (done, total) => progress.show(done, total),
    });
    progress.end();
    output.stderr.write(describeReport(report, performance.now() - startMs));
    output.stdout.write(`${report.target}\n`);
    return EXIT_CODES.ok;
  } catch (thrown) {
    progress.end();
    if (!stop.signal.aborted) throw thrown;
    output.stderr.write("stopped; nothing was left behind\n");
    return EXIT_CODES.interrupted;
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, onSignal);
  }
}

function checkOutType(text: string): OutType | "auto" {
  const name = text.toLowerCase();
  const known = OUT_TYPES.find((type) => type === name);
  if (known !== undefined || name === "auto") return known ?? "auto";
  const types = `${OUT_TYPES.join(", ")} and auto`;
  if (/^(i?q[1-8]_|tq[12]_|mxfp4|nvfp4)/.test(name)) {
    throw new AppError({
      code: "invalid_request",
      message: `--outtype ${name} needs llama.cpp's quantiser, which this version does not run`,
      hint: `Types that can be written are ${types}. Write f16, and quantise that file with llama.cpp's llama-quantize.`,
    });
  }
  throw new AppError({
    code: "invalid_request",
    message: `--outtype must be one of ${types}, not "${text}"`,
    hint: "ml-offload convert --help shows what there is.",
  });
}

function placeTarget(target: string | null, id: string, outType: OutType, env: Environment): string {
  const name = `${basename(id)}-${outType.toUpperCase()}.gguf`;
  if (target === null) {
    const folder = join(resolveFolders(env).data, "models");
    mkdirSync(folder, { recursive: true });
    return join(folder, name);
  }
  const path = resolve(target);
  if (isFolder(path)) return join(path, name);
  if (/\.gguf$/i.test(path) && isFolder(join(path, ".."))) return path;
  throw new AppError({
    code: "invalid_request",
    message: `DST must be a folder that is there, or a file in one that ends in .gguf, not ${target}`,
    hint: "Make the folder first.",
  });
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function describeReport(report: ConvertReport, tookMs: number): string {
  const { architecture, outType, tensorCount, parameterCount, bytes, notes, target } = report;
  const size = `${labelSize(parameterCount)} parameters in ${tensorCount} tensors, ${describeBytes(bytes)}`;
  return [
    `${architecture} as ${outType}: ${size}, in ${(tookMs / 1000).toFixed(1)} s`,
    ...notes.map((note) => `note: ${note}`),
    `serve it: ml-offload serve --model ${quotePath(target)}`,
    "",
  ].join("\n");
}
