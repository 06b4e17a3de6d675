// Loads one of ggml's plug-ins into this process, and says in words why a CUDA one does not work here. Models and the order
// of plug-ins are others' business.

import { basename } from "node:path";
import type { NativeLibrary } from "../../ffi/library.ts";
import { findCudaLibraries, hasCudaDriver } from "../../lib/cuda-libraries.ts";
import { readNeededLibraries } from "../../lib/elf.ts";

/** Starts llama.cpp over one GPU back end alone. Throws as well when it loads and finds nothing to compute on. */
export function startGpuPlugin(library: NativeLibrary, plugin: string): void {
  loadPlugin(library, plugin);
  if (library.devices().length === 0) {
    const lines = library.readLog().filter(({ level }) => level === "warn" || level === "error");
    throw new Error(describeNoDevice(lines.map(({ text }) => text)));
  }
  library.start();
}

/** Throws with a reason when it can't be loaded. */
export function loadPlugin(library: NativeLibrary, plugin: string): void {
  const isCuda = basename(plugin).includes("cuda");
  if (isCuda) {
    for (const path of findCudaLibraries(process.env, readNeededLibraries(plugin))) library.preload(path);
  }
  try {
    library.loadPlugin(plugin);
  } catch (thrown) {
    if (!isCuda) throw thrown;
    throw new Error(explainCudaFailure((thrown as Error).message, hasCudaDriver(process.env)), { cause: thrown });
  }
}

/** The loader's words, and what they mean for whoever runs the server. */
export function explainCudaFailure(message: string, hasDriver: boolean): string {
  const missing = /\b(lib\w+\.so\.\d+): cannot open shared object file/.exec(message)?.[1];
  if (missing === undefined) return message;
  // The loader names the first of several: without a driver the others would not help.
  if (missing === "libcuda.so.1" || !hasDriver) {
    return "there is no NVIDIA driver here (libcuda.so.1 was not found): install it, or name its folder in ML_OFFLOAD_CUDA_LIBS";
  }
  const version = missing.split(".").at(-1);
  return `${missing} of CUDA was not found: install CUDA ${version}'s libraries (pip install nvidia-cublas), or name their folder in ML_OFFLOAD_CUDA_LIBS`;
}

/** ggml's own lines name the cause, such as a driver that is older than the runtime. */
export function describeNoDevice(lines: readonly string[]): string {
  const cause = lines.map((line) => line.replace(/^ggml_\w+: /, "")).join("; ");
  if (cause === "") return "it finds no device here";
  const fix = /driver version is insufficient/.test(cause) ? ": update the NVIDIA driver" : "";
  return `it finds no device here: ${cause}${fix}`;
}
