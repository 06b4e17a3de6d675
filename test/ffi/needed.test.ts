// What the libraries ask of a host: glibc and each other, nothing else; and libmlo shows the shim's ABI alone.

import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SYMBOLS } from "../../src/ffi/symbols.ts";
import { readElf } from "../support/elf.ts";
import { HAS_NATIVE, NATIVE_FOLDER } from "../support/llama-library.ts";

const GLIBC = /^(libc|libm|libdl|libpthread)\.so\.\d+$|^ld-linux-[\w-]+\.so\.\d+$/;
const names = HAS_NATIVE ? readdirSync(NATIVE_FOLDER).filter((name) => name.endsWith(".so")) : [];
const plugins = names.filter((name) => /^libggml-(?!base)/.test(name));
const isLinux = process.platform === "linux";

/** CUDA's driver is on every host that has the device; its other libraries are not, and engine/llama/load.ts opens them. */
function allowed(name: string, needed: string): boolean {
  if (GLIBC.test(needed) || needed === "libggml-base.so") return true;
  return name.includes("cuda") && /^lib(cuda|cudart|cublas|cublasLt|nvJitLink)\.so\.\d+$/.test(needed);
}

describe.skipIf(!HAS_NATIVE || !isLinux)("the libraries", () => {
  test("are libmlo, ggml-base, and plug-ins", () => {
    expect(names).toContain("libmlo.so");
    expect(names).toContain("libggml-base.so");
    expect(plugins.length).toBeGreaterThan(0);
  });

  test.each(names.map((name) => [name]))("%s needs glibc and ggml-base alone", (name) => {
    const { needed } = readElf(join(NATIVE_FOLDER, name));
    expect(needed.filter((library) => !allowed(name, library))).toEqual([]);
    expect(needed.some((library) => GLIBC.test(library))).toBe(true);
    if (name !== "libggml-base.so") expect(needed).toContain("libggml-base.so");
  });

  test.each(names.map((name) => [name]))("%s finds its neighbours wherever it lies", (name) => {
    const { runpath, soname } = readElf(join(NATIVE_FOLDER, name));
    expect(runpath).toBe("$ORIGIN");
    // Plug-ins are opened by their path; what others ask the loader for has its own name.
    expect(plugins.includes(name) ? name : soname).toBe(name);
  });

  test("the probe needs glibc alone, and exports what loads it", () => {
    const { needed, exported } = readElf(join(NATIVE_FOLDER, "probe.node"));
    expect(needed.filter((library) => !GLIBC.test(library))).toEqual([]);
    expect(exported).toEqual(["napi_register_module_v1", "node_api_module_get_api_version_v1"]);
  });

  test("libmlo exports what symbols.ts asks for, and nothing else", () => {
    expect(readElf(join(NATIVE_FOLDER, "libmlo.so")).exported).toEqual(Object.keys(SYMBOLS).sort());
  });

  test.each(plugins.map((name) => [name]))("%s can be loaded as a back end", (name) => {
    const { exported } = readElf(join(NATIVE_FOLDER, name));
    expect(exported).toContain("ggml_backend_init");
    if (name.includes("-cpu-")) expect(exported).toContain("ggml_backend_score");
  });
});

test("what is no ELF library is refused", () => {
  const folder = mkdtempSync(join(tmpdir(), "mlo-elf-"));
  const path = join(folder, "text.so");
  writeFileSync(path, "This is no library, although it is named like one. ".repeat(4));
  expect(() => readElf(path)).toThrow("is not a 64-bit little-endian ELF file");
  rmSync(folder, { recursive: true });
});
