// Systems that a binary can be made for, and whether a folder holds the native libraries of one. Libraries are built on their
// own system (or a cross compiler for it); Bun makes a program for any of them.

import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { SetupError } from "../vendor/tools.ts";

export const TARGETS = ["linux-x64", "linux-arm64", "darwin-arm64"] as const;
export type Target = (typeof TARGETS)[number];

export const HOST_TARGET = `${process.platform}-${process.arch}`;

/** What a build leaves at least, as patterns and as they are shown. */
const EXPECTED: Readonly<Record<"linux" | "darwin", readonly { pattern: RegExp; shown: string }[]>> = {
  linux: [
    { pattern: /^libmlo\.so$/, shown: "libmlo.so" },
    { pattern: /^libggml-base\.so$/, shown: "libggml-base.so" },
    { pattern: /^libggml-cpu-.+\.so$/, shown: "libggml-cpu-*.so (one at least)" },
    { pattern: /^probe\.node$/, shown: "probe.node" },
  ],
  darwin: [
    { pattern: /^libmlo\.dylib$/, shown: "libmlo.dylib" },
    { pattern: /^libggml-base\.dylib$/, shown: "libggml-base.dylib" },
    // CMake gives modules the ending .so there too.
    { pattern: /^libggml-cpu-.+\.(so|dylib)$/, shown: "libggml-cpu-*.so (one at least)" },
    { pattern: /^libggml-metal\.(so|dylib)$/, shown: "libggml-metal.so (of --gpu metal)" },
    { pattern: /^probe\.node$/, shown: "probe.node" },
  ],
};

const ELF_MACHINES: Readonly<Record<number, string>> = { 62: "linux-x64", 183: "linux-arm64" };
const MACH_CPUS: Readonly<Record<number, string>> = { 16777223: "darwin-x64", 16777228: "darwin-arm64" };
/** Files for several processors name each in a table; more than this are no such file (Java's classes begin alike). */
const MACH_SLICES_MAX = 8;
/** The longest of the headers: a table of eight slices. */
const HEADER_BYTES = 8 + MACH_SLICES_MAX * 20;

export function parseTarget(text: string): Target {
  const target = TARGETS.find((name) => name === text);
  if (target === undefined) throw new SetupError(`--target ${text}: use one of ${TARGETS.join(", ")}.`);
  return target;
}

/** Systems that a program or library runs on, such as `linux-arm64`; empty when its beginning is that of none. */
export function identifySystems(header: Uint8Array): string[] {
  if (header.byteLength < 20) return [];
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const magic = view.getUint32(0);
  // ELF, 64 bits, little-endian; whatever says which kernel it is for is not set on Linux.
  if (magic === 0x7f454c46) {
    const machine = view.getUint16(4) === 0x0201 ? ELF_MACHINES[view.getUint16(18, true)] : undefined;
    return machine === undefined ? [] : [machine];
  }
  if (magic === 0xcffaedfe) return listKnown([view.getUint32(4, true)]);
  const slices = magic === 0xcafebabe ? view.getUint32(4) : 0;
  if (slices === 0 || slices > MACH_SLICES_MAX || header.byteLength < 8 + slices * 20) return [];
  return listKnown(Array.from({ length: slices }, (_, i) => view.getUint32(8 + i * 20)));
}

function listKnown(cpus: readonly number[]): string[] {
  return cpus.map((cpu) => MACH_CPUS[cpu]).filter((name) => name !== undefined);
}

export function identifyFile(path: string): string[] {
  const file = openSync(path, "r");
  try {
    const header = new Uint8Array(HEADER_BYTES);
    return identifySystems(header.subarray(0, readSync(file, header, 0, HEADER_BYTES, 0)));
  } finally {
    closeSync(file);
  }
}

/** Throws SetupError with every file that is missing, and every one that is for another system. */
export function checkLibraries(folder: string | undefined, names: readonly string[], target: Target): void {
  const expected = EXPECTED[target.startsWith("darwin") ? "darwin" : "linux"];
  const missing = expected.filter(({ pattern }) => !names.some((name) => pattern.test(name)));
  const wrong = names.flatMap((name) => {
    const systems = identifyFile(join(folder ?? "", name));
    if (systems.includes(target)) return [];
    return [`${name} is ${systems.length === 0 ? "no library" : `for ${systems.join(" and ")}`}`];
  });
  const troubles = [...missing.map(({ shown }) => `${shown} is missing`), ...wrong];
  if (troubles.length === 0) return;
  const where = folder === undefined ? "no folder was named" : `in ${folder}`;
  throw new SetupError(
    `The native libraries for ${target} are needed (${where}):\n${troubles.map((line) => `  ${line}`).join("\n")}\n` +
      `\`npm run setup\` makes them on a ${target} machine, in build/native; --native DIR names a copy of that folder.`,
  );
}

/** Throws SetupError unless the file that was made is a program for the system that it is meant for. */
export function checkProgram(path: string, target: string): void {
  const systems = existsSync(path) ? identifyFile(path) : [];
  if (!systems.includes(target)) {
    throw new SetupError(`${path} should be a program for ${target}, and is ${systems.join(" and ") || "none"}.`);
  }
}
