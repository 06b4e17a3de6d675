// Which of ggml's CPU variants to build. A development build makes two: the best for this host, and a
// baseline that runs anywhere. The names and their instruction sets are those of ggml/src/CMakeLists.txt.

import { readFileSync } from "node:fs";

interface Variant {
  name: string;
  /** Flags as /proc/cpuinfo spells them. */
  needs: string[];
}

const AVX2 = ["avx", "f16c", "fma", "avx2", "bmi2"];
const AVX512 = [...AVX2, "avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw"];

/** Best first; the last is the baseline. */
const X86: Variant[] = [
  {
    name: "sapphirerapids",
    needs: [...AVX512, "avx512vbmi", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8"],
  },
  { name: "zen4", needs: [...AVX512, "avx512vbmi", "avx512_vnni", "avx512_bf16"] },
  { name: "cooperlake", needs: [...AVX512, "avx512_vnni", "avx512_bf16"] },
  { name: "icelake", needs: [...AVX512, "avx512vbmi", "avx512_vnni"] },
  { name: "cascadelake", needs: [...AVX512, "avx512_vnni"] },
  { name: "cannonlake", needs: [...AVX512, "avx512vbmi"] },
  { name: "skylakex", needs: AVX512 },
  { name: "alderlake", needs: [...AVX2, "avx_vnni"] },
  { name: "haswell", needs: AVX2 },
  { name: "ivybridge", needs: ["avx", "f16c"] },
  { name: "sandybridge", needs: ["avx"] },
  { name: "sse42", needs: ["sse4_2"] },
  { name: "x64", needs: [] },
];

const ARM_LINUX: Variant[] = [
  { name: "armv9.2_2", needs: ["asimddp", "asimdhp", "sve", "i8mm", "sve2", "sme"] },
  { name: "armv8.6_2", needs: ["asimddp", "asimdhp", "sve", "i8mm", "sve2"] },
  { name: "armv8.6_1", needs: ["asimddp", "asimdhp", "sve", "i8mm"] },
  { name: "armv8.2_3", needs: ["asimddp", "asimdhp", "sve"] },
  { name: "armv8.2_2", needs: ["asimddp", "asimdhp"] },
  { name: "armv8.2_1", needs: ["asimddp"] },
  { name: "armv8.0_1", needs: [] },
];

/** The best variant for these CPU flags, and the baseline; one name when they are the same. */
export function chooseVariants(variants: Variant[], flags: ReadonlySet<string>): string[] {
  const best = variants.find((variant) => variant.needs.every((flag) => flags.has(flag)));
  const baseline = variants.at(-1);
  if (best === undefined || baseline === undefined) throw new Error("the last variant must need nothing");
  return best === baseline ? [baseline.name] : [best.name, baseline.name];
}

/** Flags of the first processor in the text of /proc/cpuinfo (x86 `flags`, Arm `Features`). */
export function readCpuFlags(cpuinfo: string): Set<string> {
  const line = cpuinfo.split("\n").find((text) => /^(flags|Features)\s*:/.test(text));
  return new Set((line?.split(":")[1] ?? "").trim().split(/\s+/));
}

/** Names for MLO_CPU_VARIANTS; empty = all of them (what releases and macOS, which has three, build). */
export function hostVariants(choice: "host" | "all"): string[] {
  if (choice === "all" || process.platform !== "linux") return [];
  const flags = readCpuFlags(readFileSync("/proc/cpuinfo", "utf8"));
  return chooseVariants(process.arch === "arm64" ? ARM_LINUX : X86, flags);
}

export const X86_VARIANTS: readonly Variant[] = X86;
