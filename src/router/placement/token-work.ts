// What one token of a model reads and computes, by the place where it does: for predictions of speed. Pure. Of a mixture of
// experts only those that a token goes through are read.

import { countCacheBytes } from "../../models/memory/context-bytes.ts";
import type { ModelShape, ShapeTensor } from "../../models/memory/model-shape.ts";
import { placeLayer } from "../../models/memory/weight-places.ts";
import type { PlaceWork, PlanSettings, TokenWork } from "./plan.ts";

/** A multiplication and an addition for each weight. */
const FLOPS_PER_WEIGHT = 2;
/** Scores and their sum over values, for each number of all queries. */
const FLOPS_PER_QUERY = 4;

/** `depth`: tokens before it. */
export function countTokenWork(shape: ModelShape, settings: PlanSettings, depth: number): TokenWork {
  const host = noWork();
  const devices = settings.deviceShares.map(noWork);
  const at = (layer: number): PlaceWork => {
    const place = placeLayer(layer, shape.layers.length, settings);
    return place === "host" ? host : (devices[place] ?? host);
  };
  for (const tensor of shape.tensors) addTensor(shape, settings, tensor, at, host);
  const sizes = { contextLength: depth, batchSize: 1, microBatchSize: 1, outputs: 1, sequences: 1 };
  for (const [index, layer] of shape.layers.entries()) {
    const work = at(index);
    if (depth > 0 || layer.keyLength === 0) work.kvBytes += countCacheBytes(layer, sizes, settings.kvType);
    if (layer.keyLength > 0) work.flops += FLOPS_PER_QUERY * layer.queryLength * depth;
  }
  return { host, devices };
}

function addTensor(
  shape: ModelShape,
  settings: PlanSettings,
  { isInput, isExpert, layer, name, bytes, columns, rows }: ShapeTensor,
  at: (layer: number) => PlaceWork,
  host: PlaceWork,
): void {
  const count = shape.layers.length;
  // Prediction layers guess, and are no part of a token that is not guessed.
  if (layer !== null && layer >= count - shape.headLayers) return;
  // One row is looked up; the whole of it is read where it is the output too.
  if (isInput && !(shape.tiesOutput && name === "token_embd.weight")) return;
  const { experts } = shape;
  const used = isExpert && experts !== null ? experts.used / experts.count : 1;
  // Those of experts have a third dimension.
  const weights = columns * rows * (isExpert ? (experts?.count ?? 1) : 1);
  const onHost = isExpert && layer !== null && layer < settings.hostExpertLayers;
  const work = onHost ? host : at(layer ?? count);
  work.weightsBytes += bytes * used;
  work.flops += FLOPS_PER_WEIGHT * weights * used;
}

function noWork(): PlaceWork {
  return { weightsBytes: 0, kvBytes: 0, flops: 0 };
}
