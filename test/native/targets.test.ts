// For which system a library is, what a target needs, and what is said when it is not there. Stubs of headers do.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nativeFiles } from "../../native/build.ts";
import {
  checkLibraries,
  checkProgram,
  HOST_TARGET,
  identifyFile,
  identifySystems,
  parseTarget,
  TARGETS,
  type Target,
} from "../../native/targets.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-targets-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function elf(machine: number, kind = 0x0201): Uint8Array {
  const view = new DataView(new ArrayBuffer(64));
  view.setUint32(0, 0x7f454c46);
  view.setUint16(4, kind);
  view.setUint16(16, 3, true);
  view.setUint16(18, machine, true);
  return new Uint8Array(view.buffer);
}

function machO(cpu: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(64));
  view.setUint32(0, 0xfeedfacf, true);
  view.setUint32(4, cpu, true);
  return new Uint8Array(view.buffer);
}

function universal(count: number, ...cpus: number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(200));
  view.setUint32(0, 0xcafebabe);
  view.setUint32(4, count);
  for (const [i, cpu] of cpus.entries()) view.setUint32(8 + 20 * i, cpu);
  return new Uint8Array(view.buffer);
}

const [X64, ARM64] = [0x01000007, 0x0100000c];

test.each<[string, Uint8Array, string[]]>([
  ["ELF for x86-64", elf(62), ["linux-x64"]],
  ["ELF for AArch64", elf(183), ["linux-arm64"]],
  ["ELF for RISC-V", elf(243), []],
  ["ELF with 32 bits", elf(62, 0x0101), []],
  ["ELF, big-endian", elf(62, 0x0202), []],
  ["Mach-O for Apple silicon", machO(ARM64), ["darwin-arm64"]],
  ["Mach-O for Intel", machO(X64), ["darwin-x64"]],
  ["a universal file", universal(2, X64, ARM64), ["darwin-x64", "darwin-arm64"]],
  ["a Java class, which begins alike", universal(52), []],
  ["a universal file without its table", universal(3, ARM64).subarray(0, 40), []],
  ["text", new TextEncoder().encode("#!/bin/sh\nexit 0 # nothing else"), []],
  ["nothing", new Uint8Array(), []],
])("%s", (_name, header, systems) => {
  expect(identifySystems(header)).toEqual(systems);
});

test("the program that runs this test is one for this system", () => {
  expect(identifyFile(process.execPath)).toContain(HOST_TARGET);
  expect(() => checkProgram(process.execPath, HOST_TARGET)).not.toThrow();
  const other = TARGETS.find((target) => target !== HOST_TARGET) as Target;
  expect(() => checkProgram(process.execPath, other)).toThrow(
    `should be a program for ${other}, and is ${HOST_TARGET}`,
  );
  expect(() => checkProgram(join(root, "nothing"), other)).toThrow("and is none");
});

test("targets are known by name", () => {
  for (const target of TARGETS) expect(parseTarget(target)).toBe(target);
  for (const text of ["", "linux", "windows-x64", "linux-arm64 "]) {
    expect(() => parseTarget(text)).toThrow("use one of linux-x64, linux-arm64, darwin-arm64");
  }
});

const LINUX = ["libmlo.so", "libggml-base.so", "libggml-cpu-armv8.0_1.so", "probe.node"];
const MAC = ["libmlo.dylib", "libggml-base.dylib", "libggml-cpu-apple_m1.so", "libggml-metal.so", "probe.node"];

function check(name: string, target: Target, files: Record<string, Uint8Array>): string {
  const folder = join(root, name);
  mkdirSync(folder);
  for (const [file, content] of Object.entries(files)) writeFileSync(join(folder, file), content);
  try {
    checkLibraries(folder, nativeFiles(folder), target);
    return "taken";
  } catch (thrown) {
    return (thrown as Error).message;
  }
}

const all = (names: readonly string[], content: Uint8Array): Record<string, Uint8Array> =>
  Object.fromEntries(names.map((name) => [name, content]));

describe("checkLibraries", () => {
  test("takes a whole set of the right system", () => {
    expect(check("arm", "linux-arm64", all(LINUX, elf(183)))).toBe("taken");
    expect(check("x64", "linux-x64", all(LINUX, elf(62)))).toBe("taken");
    expect(check("mac", "darwin-arm64", { ...all(MAC, machO(ARM64)), "notes.txt": elf(62) })).toBe("taken");
    expect(check("mac-universal", "darwin-arm64", all(MAC, universal(2, X64, ARM64)))).toBe("taken");
  });

  test("names all that is missing, and where it comes from", () => {
    const empty = check("empty", "darwin-arm64", {});
    for (const name of ["libmlo.dylib", "libggml-base.dylib", "libggml-cpu-*.so", "libggml-metal.so"]) {
      expect(empty).toMatch(new RegExp(`${RegExp.escape(name)}.* is missing`));
    }
    expect(empty).toContain("on a darwin-arm64 machine, in build/native");
    const { "libggml-base.so": _, ...rest } = all(LINUX, elf(183));
    expect(check("part", "linux-arm64", rest)).toMatch(/\n {2}libggml-base\.so is missing\n`/);
    expect(() => checkLibraries(undefined, [], "linux-arm64")).toThrow("no folder was named");
  });

  test("refuses what is for another system, or damaged, by name", () => {
    const mixed = { ...all(LINUX, elf(183)), "libmlo.so": elf(62), "libggml-cpu-armv8.2_1.so": new Uint8Array(3) };
    const message = check("mixed", "linux-arm64", mixed);
    expect(message).toContain("  libmlo.so is for linux-x64\n");
    expect(message).toContain("  libggml-cpu-armv8.2_1.so is no library\n");
    expect(message).not.toContain("libggml-base.so");
    expect(check("intel", "darwin-arm64", all(MAC, machO(X64)))).toContain("libmlo.dylib is for darwin-x64");
  });
});

const BUILD = join(import.meta.dir, "../../build.ts");

async function build(...args: string[]): Promise<{ code: number; text: string }> {
  const child = Bun.spawn([process.execPath, BUILD, ...args], { stdout: "ignore", stderr: "pipe" });
  const text = await new Response(child.stderr).text();
  return { code: await child.exited, text };
}

test.each([
  [["compile", "", "--target", "darwin-arm64"], "libmlo.dylib is missing"],
  [["compile", join(root, "x64"), "--target", "linux-arm64"], "libmlo.so is for linux-x64"],
  [["binary", "--target", "solaris"], "--target solaris: use one of"],
  [["setup", "--gpu", "cuda", "--cuda-arch", "9.0"], "--cuda-arch 9.0: name compute capabilities"],
  [["setup", "--gpu", "abacus"], "--gpu abacus: use --gpu none|cuda|metal"],
  [["binary", "--out"], "--out : use"],
])("build.ts %j is refused before anything is built", async (args, message) => {
  const { code, text } = await build(...args);
  expect(text).toContain(message);
  expect(code).toBe(1);
});
