// Which type a model gets that is converted only to be served: the largest that fits into memory. Pure.

import { factsOf } from "./out-types.ts";

export interface LoadType {
  /** As `--outtype` takes it. */
  outType: string;
  bytesPerWeight: number;
}

/** Largest first; smaller ones than these answer noticeably worse. `auto` keeps 16 bits: bf16 where the weights are that, else f16. */
export const LOAD_TYPES: readonly LoadType[] = [
  { outType: "auto", bytesPerWeight: 2 },
  ...(["q8_0", "q6_k", "q5_k_m", "q4_k_m"] as const).map((outType) => ({
    outType,
    bytesPerWeight: factsOf(outType).bitsPerWeight / 8,
  })),
];

/** The rest is for the KV cache, for compute buffers, and for what else comes to run on the machine. */
const MEMORY_SHARE = 0.7;

/** `parameterCount` or `memoryBytes` null: not known, so nothing is held against the largest. The smallest, if none fits. */
export function chooseOutType(
  parameterCount: number | null,
  memoryBytes: number | null,
  types: readonly LoadType[] = LOAD_TYPES,
): string {
  const fits = ({ bytesPerWeight }: LoadType): boolean =>
    parameterCount === null || memoryBytes === null || parameterCount * bytesPerWeight <= memoryBytes * MEMORY_SHARE;
  return (types.find(fits) ?? types.at(-1))?.outType ?? "auto";
}
