// A prediction layer (MTP) of a model of the hy_v3 shape: what its tensors hold beside those of any other layer, which are
// model-tensors.ts' business, and an output that is not the token embedding, so that texts do not just repeat a token.

import type { MetadataValue } from "./gguf-writer.ts";
import type { HeadSpec, ModelSpec } from "./model-specs.ts";
import type { WeightPlan } from "./model-tensors.ts";

/** Of the logits, as with a tied output. */
const LOGIT_DEVIATION = 4;

export function describeHead({ shape, feedForward, head }: ModelSpec): [key: string, value: MetadataValue][] {
  if (head === undefined) return [];
  return [
    [`${shape}.nextn_predict_layers`, { type: "u32", value: 1 }],
    // Asked for, although no layer has experts.
    [`${shape}.expert_feed_forward_length`, { type: "u32", value: feedForward }],
  ];
}

export function planHead(
  { layers, width, embeddings }: ModelSpec,
  head: HeadSpec,
  vocabularySize: number,
): WeightPlan[] {
  const name = (part: string): string => `blk.${layers}.nextn.${part}.weight`;
  const plain = { mean: 0, dimUnreadable: false };
  const output: WeightPlan = {
    ...plain,
    name: "output.weight",
    shape: [width, vocabularySize],
    type: embeddings,
    deviation: LOGIT_DEVIATION / Math.sqrt(width),
    dimUnreadable: true,
  };
  if (head.isElsewhere === true) return [output];
  return [
    output,
    // The first half of its columns is for the token's embedding, the second one for the hidden row.
    {
      ...plain,
      name: name("eh_proj"),
      shape: [2 * width, width],
      type: "F32",
      deviation: head.mixture / Math.sqrt(2 * width),
      diagonals: [
        { column: 0, value: head.token },
        { column: width, value: head.hidden },
      ],
    },
    { ...plain, name: name("enorm"), shape: [width], type: "F32", deviation: 0, mean: 1 },
    // A hidden row that is passed on is not to be scaled again.
    { ...plain, name: name("hnorm"), shape: [width], type: "F32", deviation: head.hidden === 0 ? 0.2 : 0, mean: 1 },
    ...(head.hidden === 0
      ? []
      : [{ ...plain, name: name("shared_head_norm"), shape: [width], type: "F32" as const, deviation: 0, mean: 1 }]),
  ];
}
