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

/**
 * `largestBytes`: of a file that leaves room for all else that a model takes. It or `parameterCount` null: not known, so nothing
 * is held against the first type. The smallest, if none fits.
 */
export function chooseOutType(
  parameterCount: number | null,
  largestBytes: number | null,
  types: readonly LoadType[] = LOAD_TYPES,
): string {
  const fits = ({ bytesPerWeight }: LoadType): boolean =>
    parameterCount === null || largestBytes === null || parameterCount * bytesPerWeight <= largestBytes;
  return (types.find(fits) ?? types.at(-1))?.outType ?? "auto";
}
