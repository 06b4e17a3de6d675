import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findCudaLibraries } from "../../src/engine/cuda-libraries.ts";
import { NativeLibrary } from "../../src/ffi/library.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-cuda-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function compile(source: string, output: string, flags: string[]): Promise<void> {
  const file = join(folder, "source.c");
  writeFileSync(file, source);
  const compiler = Bun.spawn(["cc", "-shared", "-fPIC", "-o", output, file, ...flags], { stderr: "inherit" });
  expect(await compiler.exited).toBe(0);
}

test("each library is found once, in the first folder that has it, needs before needers", () => {
  const [first, second] = [join(folder, "a"), join(folder, "b")];
  for (const path of [first, second]) mkdirSync(path);
  for (const name of ["libcublas.so.13", "libcudart.so.13", "libcudart.so", "libother.so.1"]) {
    writeFileSync(join(first, name), "");
  }
  for (const name of ["libcuda.so.1", "libcudart.so.12", "libcublasLt.so.13"]) writeFileSync(join(second, name), "");
  expect(findCudaLibraries({}, [join(folder, "none"), first, second])).toEqual([
    join(second, "libcuda.so.1"),
    join(first, "libcudart.so.13"),
    join(second, "libcublasLt.so.13"),
    join(first, "libcublas.so.13"),
  ]);
});

test("ML_OFFLOAD_CUDA_LIBS may name several folders", () => {
  const given = join(folder, "given");
  mkdirSync(given);
  writeFileSync(join(given, "libcudart.so.13"), "");
  expect(findCudaLibraries({ ML_OFFLOAD_CUDA_LIBS: `${join(folder, "none")}:${given}` })).toContain(
    join(given, "libcudart.so.13"),
  );
});

test.skipIf(process.platform !== "linux")("a plug-in finds a library that was opened for it", async () => {
  const toolkit = join(folder, "toolkit");
  mkdirSync(toolkit);
  const runtime = join(toolkit, "libcudart.so.99");
  await compile("int cudaAnswer(void) { return 42; }", runtime, ["-Wl,-soname,libcudart.so.99"]);
  const plugin = join(folder, "libggml-cuda.so");
  await compile("int cudaAnswer(void); int use(void) { return cudaAnswer(); }", plugin, [runtime]);

  const library = NativeLibrary.open(join(import.meta.dir, "../../build/native/libmlo.so"));
  expect(() => library.loadPlugin(plugin)).toThrow(/libcudart\.so\.99/);
  for (const path of findCudaLibraries({}, [toolkit])) expect(library.preload(path)).toBe(true);
  // It is loaded now, and only lacks what makes it a plug-in.
  expect(() => library.loadPlugin(plugin)).toThrow(/ggml_backend_init/);
  expect(library.preload(join(toolkit, "libnowhere.so.1"))).toBe(false);
});
