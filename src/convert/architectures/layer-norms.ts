// What GPT-2, GPT-NeoX and StarCoder2 have in common: layer norms and projections with biases, and one projection before
// and one behind a GELU. The sizes under the names that each has for them, and the keys and slots that all share.

import type { GgufEntry } from "../../formats/gguf/write-header.ts";
import type { Fields } from "../json-file.ts";
import type { PlannedTensor } from "../model-plan.ts";
import type { Weight } from "../weights.ts";
import { checkActivation, readLayers } from "./checks.ts";
import type { Placement, SlotTable } from "./slots.ts";

/** config.json's names, with what transformers assumes where they are silent and it is not the whole model. */
export interface LayerNormFields {
  width: string;
  /** Four times the width where config.json is silent. */
  inner: string;
  layers: string;
  heads: string;
  contextLength: readonly [name: string, standard: number];
  epsilon: string;
  activation: string;
}

export interface LayerNormSizes {
  vocabulary: number;
  width: number;
  inner: number;
  layers: number;
  heads: number;
  contextLength: number;
  epsilon: number;
}

/** llama.cpp has one GELU, by tanh; the exact one differs by less than half-precision numbers do. */
const ACTIVATIONS: readonly string[] = ["gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh"];

export function readLayerNormSizes(config: Fields, fields: LayerNormFields): LayerNormSizes {
  const width = config.requiredSize(fields.width);
  const heads = config.requiredSize(fields.heads);
  const layers = readLayers(config, fields.layers);
  if (width % heads !== 0) throw config.wrong(fields.heads, `a divisor of the width ${width}`);
  checkActivation(config, fields.activation, ACTIVATIONS);
  return {
    vocabulary: config.requiredSize("vocab_size"),
    width,
    inner: config.size(fields.inner) ?? 4 * width,
    layers,
    heads,
    contextLength: config.size(fields.contextLength[0]) ?? fields.contextLength[1],
    epsilon: config.number(fields.epsilon) ?? 1e-5,
  };
}

export type Keys = Map<string, GgufEntry>;

export const u32 = (value: number): GgufEntry => ({ type: "u32", value });
export const f32 = (value: number): GgufEntry => ({ type: "f32", value });

/** A norm or a projection: a weight, and a bias as long as what comes out of it. */
export function placeWithBias(
  slots: SlotTable,
  from: string,
  to: string,
  shape: readonly number[],
  placement: Placement = {},
): void {
  const outputs = placement.transposed === true ? shape.at(-1) : shape[0];
  slots.place(`${from}.weight`, `${to}.weight`, shape, placement);
  slots.place(`${from}.bias`, `${to}.bias`, [outputs ?? 1]);
}

/**
 * Of a fused projection whose rows are Q, K and V of one head after the other: all of Q, then all of K, then all of V.
 * `columns`: null for its bias.
 */
export function placeInterleaved(
  slots: SlotTable,
  name: string,
  target: string,
  { heads, headLength, columns }: { heads: number; headLength: number; columns: number | null },
): void {
  const shape = [3 * heads * headLength, ...(columns === null ? [] : [columns])];
  const make = ([weight]: readonly Weight[]): PlannedTensor[] => {
    if (weight === undefined) return [];
    const slices = [0, 1, 2].flatMap((part) =>
      Array.from({ length: heads }, (_, head) => ({
        weight,
        fromRow: (3 * head + part) * headLength,
        rows: headLength,
        heads: null,
      })),
    );
    return [{ name: target, dims: shape.toReversed(), source: { kind: "slices", slices } }];
  };
  slots.add({ sources: [{ name, shape }], required: true, make });
}
