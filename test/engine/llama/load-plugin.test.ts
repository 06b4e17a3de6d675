// What a CUDA plug-in's failure is called, and that libraries opened for it are found by it. No CUDA needed.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeNoDevice, explainCudaFailure } from "../../../src/engine/llama/load-plugin.ts";
import { NativeLibrary } from "../../../src/ffi/library.ts";
import { findCudaLibraries } from "../../../src/lib/cuda-libraries.ts";
import { readNeededLibraries } from "../../../src/lib/elf.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-plugin-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function compile(source: string, output: string, flags: string[]): Promise<void> {
  const file = join(folder, "source.c");
  writeFileSync(file, source);
  const compiler = Bun.spawn(["cc", "-shared", "-fPIC", "-o", output, file, ...flags], { stderr: "inherit" });
  expect(await compiler.exited).toBe(0);
}

test.skipIf(process.platform !== "linux")("a plug-in finds a library that was opened for it", async () => {
  const toolkit = join(folder, "toolkit");
  mkdirSync(toolkit);
  const runtime = join(toolkit, "libcudart.so.99");
  await compile("int cudaAnswer(void) { return 42; }", runtime, ["-Wl,-soname,libcudart.so.99"]);
  const plugin = join(folder, "libggml-cuda.so");
  await compile("int cudaAnswer(void); int use(void) { return cudaAnswer(); }", plugin, [runtime]);

  const library = NativeLibrary.open(join(import.meta.dir, "../../../build/native/libmlo.so"));
  expect(() => library.loadPlugin(plugin)).toThrow(/libcudart\.so\.99/);
  const needed = readNeededLibraries(plugin);
  expect(needed).toContain("libcudart.so.99");
  for (const path of findCudaLibraries({}, needed, [toolkit])) expect(library.preload(path)).toBe(true);
  // It is loaded now, and only lacks what makes it a plug-in.
  expect(() => library.loadPlugin(plugin)).toThrow(/ggml_backend_init/);
  expect(library.preload(join(toolkit, "libnowhere.so.1"))).toBe(false);
});

describe("reasons", () => {
  test.each([
    [
      "can't load the plug-in /x/libggml-cuda.so\nload_backend: libcuda.so.1: cannot open shared object file: No such file",
      "there is no NVIDIA driver here (libcuda.so.1 was not found): install it, or name its folder in ML_OFFLOAD_CUDA_LIBS",
    ],
    [
      "load_backend: libcublas.so.13: cannot open shared object file",
      "libcublas.so.13 of CUDA was not found: install CUDA 13's libraries (pip install nvidia-cublas), or name their folder in ML_OFFLOAD_CUDA_LIBS",
    ],
    ["failed to map segment from shared object", "failed to map segment from shared object"],
  ])("a plug-in that can't be loaded: %j", (message, reason) => {
    expect(explainCudaFailure(message, true)).toBe(reason);
  });

  test("where several are missing, the driver comes first", () => {
    const message = "load_backend: libcublas.so.13: cannot open shared object file";
    expect(explainCudaFailure(message, false)).toStartWith("there is no NVIDIA driver here");
    expect(explainCudaFailure("failed to map segment", false)).toBe("failed to map segment");
  });

  test.each([
    [[], "it finds no device here"],
    [
      ["ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected"],
      "it finds no device here: failed to initialize CUDA: no CUDA-capable device is detected",
    ],
    [
      ["ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for CUDA runtime version"],
      "it finds no device here: failed to initialize CUDA: CUDA driver version is insufficient for CUDA runtime version: update the NVIDIA driver",
    ],
  ])("one that finds nothing: %j", (lines, reason) => {
    expect(describeNoDevice(lines)).toBe(reason);
  });
});
