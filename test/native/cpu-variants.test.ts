// Which CPU variants a development build makes: the best for this host and the baseline, under ggml's own names.

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chooseVariants, hostVariants, readCpuFlags, X86_VARIANTS } from "../../native/cpu-variants.ts";

const GGML_LIST = join(import.meta.dir, "../../vendor/llama.cpp/ggml/src/CMakeLists.txt");
const haswell = ["avx", "f16c", "fma", "avx2", "bmi2"];
const skylake = [...haswell, "avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw"];

const choose = (flags: string[]) => chooseVariants([...X86_VARIANTS], new Set(flags));

describe("chooseVariants", () => {
  test.each([
    [[], ["x64"]],
    [["sse4_2"], ["sse42", "x64"]],
    [
      ["sse4_2", ...haswell],
      ["haswell", "x64"],
    ],
    [
      [...haswell, "avx_vnni"],
      ["alderlake", "x64"],
    ],
    [skylake, ["skylakex", "x64"]],
    [skylake.filter((flag) => flag !== "avx512bw"), ["haswell", "x64"]],
    [
      [...skylake, "avx512vbmi", "avx512_vnni", "avx512_bf16"],
      ["zen4", "x64"],
    ],
    [
      [...skylake, "avx512vbmi", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8"],
      ["sapphirerapids", "x64"],
    ],
  ])("%j gives %j", (flags, variants) => {
    expect(choose(flags)).toEqual(variants);
  });

  test("without a baseline that runs anywhere there is no choice", () => {
    expect(() => chooseVariants([{ name: "haswell", needs: haswell }], new Set())).toThrow("must need nothing");
    expect(() => chooseVariants([], new Set())).toThrow("must need nothing");
  });

  test("no variant is asked for before one that needs more", () => {
    for (const [i, variant] of X86_VARIANTS.entries()) {
      const needsMore = X86_VARIANTS.slice(i + 1).filter(
        (later) =>
          later.needs.length > variant.needs.length && variant.needs.every((flag) => later.needs.includes(flag)),
      );
      expect([variant.name, needsMore.map((later) => later.name)]).toEqual([variant.name, []]);
    }
  });

  test.skipIf(!existsSync(GGML_LIST))("the names are those of ggml", () => {
    const text = readFileSync(GGML_LIST, "utf8");
    const known = [...text.matchAll(/ggml_add_cpu_backend_variant\(([^\s)]+)/g)].map((match) => match[1]);
    for (const { name } of X86_VARIANTS) expect(known).toContain(name);
  });
});

describe("readCpuFlags", () => {
  test("reads the first processor, x86 and Arm", () => {
    const x86 = "processor\t: 0\nflags\t\t: fpu avx2 sse4_2\nbugs\t: none\n\nprocessor\t: 1\nflags\t\t: other\n";
    expect([...readCpuFlags(x86)]).toEqual(["fpu", "avx2", "sse4_2"]);
    expect([...readCpuFlags("Features\t: fp asimddp sve\n")]).toEqual(["fp", "asimddp", "sve"]);
  });

  test("a text without flags gives none that a variant needs", () => {
    expect(choose([...readCpuFlags("")])).toEqual(["x64"]);
  });
});

describe("hostVariants", () => {
  test("all of them is an empty list; this host gets one or two", () => {
    expect(hostVariants("all")).toEqual([]);
    if (process.platform === "linux") expect([1, 2]).toContain(hostVariants("host").length);
  });
});
