// Finding CUDA's libraries and the driver's in the places that the loader does not know.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeCudaHost, findCudaLibraries, hasCudaDriver, listCudaFolders } from "../../src/lib/cuda-libraries.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-cuda-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function makeFolder(name: string, files: readonly string[]): string {
  const folder = join(root, name);
  mkdirSync(folder, { recursive: true });
  for (const file of files) writeFileSync(join(folder, file), "");
  return folder;
}

describe("findCudaLibraries", () => {
  const first = makeFolder("first", ["libcublas.so.13", "libcudart.so.13", "libcudart.so", "libother.so.1"]);
  const second = makeFolder("second", ["libcuda.so.1", "libcudart.so.12", "libcublasLt.so.13"]);

  test("each library is found once, in the first folder that has it, needs before needers", () => {
    expect(findCudaLibraries({}, null, [join(root, "none"), first, second])).toEqual([
      join(second, "libcuda.so.1"),
      join(first, "libcudart.so.13"),
      join(second, "libcublasLt.so.13"),
      join(first, "libcublas.so.13"),
    ]);
  });

  test("of several versions the one that the plug-in needs, wherever it is", () => {
    const old = makeFolder("old", ["libcublas.so.12", "libcublasLt.so.12", "libcudart.so.12", "libnvJitLink.so.12"]);
    const current = makeFolder("current", ["libcublas.so.13", "libcublasLt.so.13", "libcudart.so.13"]);
    expect(findCudaLibraries({}, ["libcuda.so.1", "libcublas.so.13", "libc.so.6"], [old, current])).toEqual([
      join(current, "libcublasLt.so.13"),
      join(current, "libcublas.so.13"),
    ]);
    expect(findCudaLibraries({}, ["libcublas.so.14"], [old, current])).toEqual([]);
  });

  test("a file in place of a folder is no folder", () => {
    expect(findCudaLibraries({}, null, [join(first, "libcudart.so.13"), second])).toHaveLength(3);
  });
});

describe("listCudaFolders", () => {
  beforeAll(() => {
    makeFolder("venv/lib/python3.12/site-packages/nvidia/cu13/lib", ["libcublas.so.13"]);
    makeFolder("venv/lib/python3.12/site-packages/nvidia/cublas/lib", ["libcublas.so.12"]);
    makeFolder("venv/lib/python3.12/site-packages/nvidia/cudnn/lib", []);
    makeFolder("home/.local/lib/python3.11/site-packages/nvidia/cu13/lib", []);
  });

  test("ML_OFFLOAD_CUDA_LIBS may name several folders, and one of Python's packages", () => {
    const packages = join(root, "venv/lib/python3.12/site-packages");
    const folders = listCudaFolders({ ML_OFFLOAD_CUDA_LIBS: `${root}/a:${packages}`, HOME: join(root, "nobody") });
    expect(folders.slice(0, 4)).toEqual([
      join(root, "a"),
      packages,
      join(packages, "nvidia/cu13/lib"),
      join(packages, "nvidia/cublas/lib"),
    ]);
  });

  test("a virtual environment, a home's packages, the toolkit and NixOS' driver are looked into", () => {
    const folders = listCudaFolders({
      VIRTUAL_ENV: join(root, "venv"),
      HOME: join(root, "home"),
      CUDA_PATH: "/opt/cuda",
    });
    expect(folders).toContain("/run/opengl-driver/lib");
    expect(folders).toContain("/opt/cuda/lib64");
    expect(folders).toContain(join(root, "venv/lib/python3.12/site-packages/nvidia/cu13/lib"));
    expect(folders).toContain(join(root, "home/.local/lib/python3.11/site-packages/nvidia/cu13/lib"));
    expect(folders.filter((folder) => folder.includes("cudnn"))).toEqual([]);
  });
});

describe("hasCudaDriver", () => {
  const nowhere = join(root, "nowhere");
  const empty = makeFolder("empty", []);

  test("is where a folder has libcuda.so.1, or the loader knows one", () => {
    const driver = makeFolder("driver", ["libcuda.so.1"]);
    const cache = join(root, "ld.so.cache");
    writeFileSync(cache, "\0libc.so.6\0/usr/lib/libcuda.so.1\0");
    expect(hasCudaDriver({}, [driver], nowhere, [])).toBe(true);
    expect(hasCudaDriver({ LD_LIBRARY_PATH: `${empty}:${driver}` }, [], nowhere, [])).toBe(true);
    expect(hasCudaDriver({}, [], nowhere, [empty, driver])).toBe(true);
    expect(hasCudaDriver({}, [], cache, [])).toBe(true);
  });

  test("is not where there is a toolkit alone, nor where nothing can be read", () => {
    const toolkit = makeFolder("toolkit", ["libcudart.so.13", "libcuda.so"]);
    const cache = join(root, "other.cache");
    writeFileSync(cache, "\0libc.so.6\0");
    expect(hasCudaDriver({}, [toolkit, nowhere], cache, [empty])).toBe(false);
    expect(hasCudaDriver({}, [], nowhere, [])).toBe(false);
  });
});

test("what is known of a host changes with its driver, its devices and the libraries found", () => {
  const kernel = join(root, "proc");
  const env = { ML_OFFLOAD_CUDA_LIBS: join(root, "libraries"), HOME: root };
  const seen = [describeCudaHost(env, kernel)];
  const note = () => void seen.push(describeCudaHost(env, kernel));
  makeFolder("proc/gpus/0000:01:00.0", []);
  writeFileSync(join(kernel, "version"), "NVRM version: 580.65.06\nGCC version: 12\n");
  note();
  writeFileSync(join(kernel, "version"), "NVRM version: 590.10\nGCC version: 12\n");
  note();
  makeFolder("proc/gpus/0000:02:00.0", []);
  note();
  makeFolder("libraries", ["libcublas.so.13"]);
  note();
  expect(new Set(seen).size).toBe(5);
  expect(describeCudaHost(env, kernel)).toBe(seen.at(-1) as string);
});
