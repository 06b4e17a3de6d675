// `convert`: a model's or an adapter's folder, or a GGUF of plain numbers → a GGUF file of the type asked for, with progress on
// stderr and the file's path on stdout. Ctrl-C leaves nothing behind.

import { mkdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { convertAdapter, isAdapterFolder } from "../convert/adapter/convert-adapter.ts";
import { type ConvertReport, convertModel, identify } from "../convert/convert-model.ts";
import { labelSize, nameGguf } from "../convert/model-name.ts";
import { isPlainType, type OutType, parseOutType } from "../convert/out-types.ts";
import { requantizeModel } from "../convert/requantize-model.ts";
import type { QuantizeJob } from "../convert/write-quantized.ts";
import { type Environment, resolveFolders } from "../lib/paths.ts";
import { quotePath } from "../lib/shell-quote.ts";
import type { ConversionPhase } from "../protocol/conversion.ts";
import { AppError, toAppError } from "../protocol/errors.ts";
import { locateNativeFiles } from "../router/backends/native-files.ts";
import { quantizeFile } from "../router/conversions/quantize.ts";
import { EXIT_CODES, type ExitCode } from "./exit-codes.ts";
import { ConvertLines } from "./text/convert-lines.ts";
import { ConvertProgress, describeBytes } from "./text/convert-progress.ts";

export interface ConvertArguments {
  source: string;
  /** A file or a folder; null: the models folder, where `serve` finds it. */
  target: string | null;
  outType: string;
  force: boolean;
  /** Of llama-imatrix. */
  imatrix: string | null;
  allowRequantize: boolean;
  /** Lines of JSON on stdout in place of texts. */
  json: boolean;
  /** Stops when stdin ends: whoever started it holds the other end, and it ends with him however he does. */
  stopWithStdin: boolean;
  /** The model that an adapter is for; null: the adapter says it, or what is converted is none. */
  base: string | null;
}

/** As `convert SOURCE` alone has them. */
export const PLAIN_CONVERSION: Omit<ConvertArguments, "source"> = {
  target: null,
  outType: "auto",
  force: false,
  imatrix: null,
  allowRequantize: false,
  json: false,
  stopWithStdin: false,
  base: null,
};

export interface ConvertOutput {
  stdout: { write(text: string): unknown };
  stderr: { write(text: string): unknown; isTTY?: boolean };
}

export async function convert(
  args: ConvertArguments,
  env: Environment,
  output: ConvertOutput = process,
): Promise<ExitCode> {
  const source = resolve(args.source);
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, onSignal);
  if (args.stopWithStdin) stopWithStarter(() => stop.abort());
  const lines = args.json ? new ConvertLines(output.stdout, () => performance.now()) : null;
  const progress = lines ?? new ConvertProgress(output.stderr, () => performance.now());
  const startMs = performance.now();
  try {
    const outType = parseOutType(args.outType, "--outtype");
    const isFile = statSync(source, { throwIfNoEntry: false })?.isFile() === true;
    const isAdapter = !isFile && isAdapterFolder(source);
    if (args.base !== null && !isAdapter) throw notAnAdapter(source);
    const id = isFile ? nameGguf(basename(source)) : identify(source);
    const isPlain = outType === "auto" || isPlainType(outType);
    const request = {
      source,
      target(type: OutType): string {
        const path = placeTarget(args.target, id, type, env);
        lines?.plan(type, basename(path));
        return path;
      },
      outType,
      force: args.force,
      imatrix: args.imatrix === null ? null : resolve(args.imatrix),
      signal: stop.signal,
      quantize: isAdapter || (isPlain && !isFile) ? undefined : await prepareQuantizer(env),
      onProgress: (done: number, total: number, phase: ConversionPhase) => {
        progress.show(done, total, isPlain || isFile ? null : phase);
      },
    };
    const { allowRequantize, base } = args;
    const convertFolder = () => (isAdapter ? convertAdapter({ ...request, base }) : convertModel(request));
    const report = await (isFile ? requantizeModel({ ...request, allowRequantize }) : convertFolder());
    progress.end();
    lines?.finish(report);
    if (lines !== null) return EXIT_CODES.ok;
    output.stderr.write(describeReport(report, isAdapter ? USE_ADAPTER : USE_MODEL, performance.now() - startMs));
    output.stdout.write(`${report.target}\n`);
    return EXIT_CODES.ok;
  } catch (thrown) {
    progress.end();
    if (!stop.signal.aborted) {
      lines?.fail(toAppError(thrown));
      throw thrown;
    }
    output.stderr.write("stopped; nothing was left behind\n");
    return EXIT_CODES.interrupted;
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, onSignal);
  }
}

/** The libraries are looked for before anything is written. */
async function prepareQuantizer(env: Environment): Promise<(job: QuantizeJob) => Promise<void>> {
  const { library } = await locateNativeFiles(resolveFolders(env).cache, env.ML_OFFLOAD_NATIVE_DIR);
  return async (job) => await quantizeFile(library, job);
}

/** The pipe to the starter breaks when he is gone: then there is something to clean up, not to exit at once. */
function stopWithStarter(stop: () => void): void {
  process.stdout.removeAllListeners("error");
  process.stdout.on("error", stop);
  process.stdin.on("end", stop);
  process.stdin.on("error", stop);
  process.stdin.resume();
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

function notAnAdapter(source: string): AppError {
  const message = `--base is for adapters, and ${source} has no adapter_config.json`;
  return new AppError({ code: "invalid_request", message, hint: "ml-offload convert --help describes it." });
}

const USE_MODEL = "serve it: ml-offload serve --model";
const USE_ADAPTER = "use it: ml-offload serve --model BASE.gguf --lora";

function describeReport(report: ConvertReport, use: string, tookMs: number): string {
  const { architecture, outType, tensorCount, parameterCount, bytes, notes, target } = report;
  const size = `${labelSize(parameterCount)} parameters in ${tensorCount} tensors, ${describeBytes(bytes)}`;
  return [
    `${architecture} as ${outType}: ${size}, in ${(tookMs / 1000).toFixed(1)} s`,
    ...notes.map((note) => `note: ${note}`),
    `${use} ${quotePath(target)}`,
    "",
  ].join("\n");
}
