// Layers whose feed-forward part is a choice of experts: how many there are and are asked for each token, and the slots
// that stack the experts of a layer, one tensor for each of their projections. Knows no architecture's names.

import type { GgufEntry } from "../../formats/gguf/write-header.ts";
import { damagedModel, type Fields } from "../json-file.ts";
import { wholeSlice } from "../model-plan.ts";
import type { Weight } from "../weights.ts";
import type { SlotTable } from "./slots.ts";

export interface ExpertCounts {
  count: number;
  /** For each token. */
  used: number;
}

/** What config.json calls them, and what transformers assumes where it is silent. */
export interface ExpertFields {
  count: string;
  standard: ExpertCounts;
}

/** llama.cpp has room for as many. */
const EXPERTS_MAX = 1_024;
const USED_FIELD = "num_experts_per_tok";

/** `weights`: every expert is looked for by name, so a folder must have as many tensors at least. */
export function readExpertCounts(
  config: Fields,
  { count: field, standard }: ExpertFields,
  layers: number,
  weights: ReadonlyMap<string, Weight>,
): ExpertCounts {
  const count = config.size(field) ?? standard.count;
  const used = config.size(USED_FIELD) ?? standard.used;
  if (count > EXPERTS_MAX) throw config.wrong(field, `at most ${EXPERTS_MAX}`);
  if (used > count) throw config.wrong(USED_FIELD, `at most ${count}, as many as there are experts`);
  if (count * layers > weights.size) {
    const claim = `config.json says ${count} experts in each of ${layers} layers`;
    throw damagedModel(`${claim}; the folder has ${weights.size} tensors in all`, "Fetch the missing files.");
  }
  return { count, used };
}

export function expertEntries(architecture: string, { count, used }: ExpertCounts): [string, GgufEntry][] {
  return [
    [`${architecture}.expert_count`, { type: "u32", value: count }],
    [`${architecture}.expert_used_count`, { type: "u32", value: used }],
  ];
}

/** One of an expert's matrices. */
export interface ExpertProjection {
  /** By the number of the expert. */
  name: (expert: number) => string;
  target: string;
  rows: number;
  columns: number;
}

/** The experts of one layer; tensors are made in the order of the projections. */
export function stackExperts(slots: SlotTable, count: number, projections: readonly ExpertProjection[]): void {
  const sources = projections.flatMap(({ name, rows, columns }) =>
    Array.from({ length: count }, (_, expert) => ({ name: name(expert), shape: [rows, columns] })),
  );
  slots.add({
    sources,
    required: true,
    make: (weights) =>
      projections.map(({ target, rows, columns }, i) => ({
        name: target,
        dims: [columns, rows, count],
        source: {
          kind: "slices",
          slices: weights.slice(i * count, (i + 1) * count).map((weight) => wholeSlice(weight)),
        },
      })),
  });
}
