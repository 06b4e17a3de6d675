// Builds the native libraries through cmake-js, once for each content: the key is a hash of everything that
// shapes the result, and finished builds live in a cache that all checkouts share.

import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, relative } from "node:path";
import { buildCache, fetchLlama, LLAMA_COMMIT, sourceKey } from "../vendor/fetch.ts";
import { requireTool, run, SetupError, say } from "../vendor/tools.ts";
import { hostVariants } from "./cpu-variants.ts";
import { checkToolkit } from "./cuda.ts";

const HERE = import.meta.dir;
const ROOT = dirname(HERE);
const NODE_ADDON_API = join(ROOT, "node_modules", "node-addon-api");
const CMAKE_JS = join(ROOT, "node_modules", "cmake-js", "bin", "cmake-js");

export type Gpu = "none" | "cuda" | "metal";

export interface NativeOptions {
  gpu: Gpu;
  cpu: "host" | "all";
  /** Of `--gpu cuda`, as CMake spells them, such as `90-real`. */
  cudaArchs: readonly string[];
  /** `static`: cuBLAS is linked in where the toolkit has an archive, some 600 MB. `shared`: the host has it. */
  cudaLibs: "static" | "shared";
  /** Also llama-server and llama-quantize from the same objects, for the parity tests. */
  peer: boolean;
}

/** Libraries and plug-ins of a finished build, by file name. */
export function nativeFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => /\.(so|dylib|metallib|node)$/.test(name))
    .sort();
}

/** Where the libraries of the last build of this checkout are: a link into the cache. */
export const NATIVE_LINK = join(ROOT, "build", "native");

async function toolchain(gpu: Gpu): Promise<string> {
  requireTool("cmake");
  const compiler = requireTool(process.env.CXX ?? "c++");
  const version = await run([compiler, "--version"], { what: "asking the compiler for its version" });
  return gpu === "cuda" ? version + (await checkToolkit()) : version;
}

/** Of everything that shapes the result, and of nothing else. */
export function buildKey(options: NativeOptions, variants: string[], compiler: string): string {
  const hash = new Bun.CryptoHasher("sha256");
  const { gpu, cpu, peer, cudaArchs, cudaLibs } = options;
  const cuda = gpu === "cuda" ? [cudaArchs, cudaLibs] : [];
  hash.update(JSON.stringify([gpu, cuda, cpu, peer, variants, compiler, process.platform, process.arch, sourceKey()]));
  for (const file of nativeSources()) hash.update(relative(ROOT, file)).update(readFileSync(file));
  return hash.digest("hex").slice(0, 16);
}

function nativeSources(folder = HERE): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return nativeSources(path);
      return /\.(cpp|mm|h|map|cmake|txt)$/.test(entry.name) ? [path] : [];
    });
}

/** Builds what is missing and links build/native to it. Returns the folder that holds the libraries. */
export async function buildNative(options: NativeOptions): Promise<string> {
  const variants = hostVariants(options.cpu);
  const folder = join(buildCache(), `native-${buildKey(options, variants, await toolchain(options.gpu))}`);
  if (!existsSync(folder)) {
    const source = await fetchLlama();
    await compile(options, variants, source, folder);
  }
  link(folder);
  return folder;
}

async function compile(options: NativeOptions, variants: string[], source: string, folder: string): Promise<void> {
  const out = `${folder}.part`;
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const parts = [`CPU ${variants.length === 0 ? "all variants" : variants.join(" + ")}`];
  if (options.gpu === "cuda") parts.push(`CUDA ${options.cudaArchs.join(" + ")} (half an hour of one core for each)`);
  else if (options.gpu !== "none") parts.push(options.gpu);
  if (options.peer) parts.push("llama-server", "llama-quantize");
  say(`native build: ${parts.join(", ")} (a first build takes some minutes)`);
  const started = performance.now();
  const defines = {
    MLO_LLAMA_SRC: source,
    MLO_LLAMA_COMMIT: LLAMA_COMMIT.slice(0, 12),
    MLO_OUT: out,
    MLO_GPU: options.gpu,
    MLO_CUDA_ARCHITECTURES: options.cudaArchs.join(";"),
    MLO_CUDA_SHARED_LIBS: options.cudaLibs === "shared" ? "ON" : "OFF",
    MLO_CPU_VARIANTS: variants.join(";"),
    MLO_PEER: options.peer ? "ON" : "OFF",
    MLO_NODE_ADDON_API: NODE_ADDON_API,
  };
  const flags = ["-d", HERE, "-O", join(ROOT, "build", `cmake-${options.gpu}`), "-B", "Release", "-l", "warn"];
  flags.push("-p", process.env.ML_OFFLOAD_BUILD_JOBS ?? String(availableParallelism()));
  for (const [name, value] of Object.entries(defines)) flags.push(`--CD${name}=${value}`);
  // Configured every time: an existing build folder would keep the settings of the last build.
  for (const step of ["configure", "build"]) {
    await run([process.execPath, CMAKE_JS, step, ...flags], {
      cwd: HERE,
      show: true,
      what: `the native build (${step})`,
      hint: "The compiler's messages are above.",
    });
  }
  if (nativeFiles(out).length < 4) throw new SetupError(`the native build left too few libraries in ${out}`);
  renameSync(out, folder);
  say(`native build: done in ${((performance.now() - started) / 1000).toFixed(0)} s`);
}

function link(folder: string): void {
  mkdirSync(dirname(NATIVE_LINK), { recursive: true });
  if (lstatSync(NATIVE_LINK, { throwIfNoEntry: false }) !== undefined) rmSync(NATIVE_LINK, { recursive: true });
  symlinkSync(folder, NATIVE_LINK);
}
