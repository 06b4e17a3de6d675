// What a token costs: bytes that are read for it and operations that are done, by place. The larger of both, against what a
// machine can do of each, bounds its speed. Pure.

import type { LoadSettings } from "../../protocol/memory-need.ts";
import { countCacheBytes } from "./context-bytes.ts";
import type { ModelShape, ShapeTensor } from "./model-shape.ts";
import { type Place, placeLayer, placeTensor } from "./weight-places.ts";

export interface TokenCost {
  /** Of weights that this token goes through, and of the cells and states that it looks at. */
  weightBytes: number;
  cacheBytes: number;
  /** Multiplications and additions. */
  operations: number;
}

export interface ActiveCost {
  host: TokenCost;
  /** In the order of the shares. */
  devices: TokenCost[];
}

/** A multiplication and an addition. */
const OPERATIONS_EACH = 2;

/**
 * Of one token behind `depth` others of its sequence, when nothing else runs in its step. Tokens that share a step read the
 * weights once for all of them, experts as far as they choose the same.
 */
export function bytesPerToken(shape: ModelShape, settings: LoadSettings, depth: number): ActiveCost {
  const count = shape.layers.length;
  const trunk = count - shape.headLayers;
  const host = nothing();
  const devices = settings.deviceShares.map(nothing);
  const at = (place: Place): TokenCost => (place === "host" ? host : (devices[place] ?? host));
  for (const tensor of shape.tensors) {
    if (tensor.layer !== null && tensor.layer >= trunk) continue;
    const share = shareOf(tensor, shape);
    if (share === 0) continue;
    const cost = at(placeTensor(tensor, shape, settings));
    cost.weightBytes += tensor.bytes * share;
    if (tensor.isMatrix) cost.operations += OPERATIONS_EACH * countNumbers(tensor, shape) * share;
  }
  addTiedOutput(shape, at(placeLayer(count, count, settings)));
  for (const [layer, { keyLength, valueLength, queryLength, ...rest }] of shape.layers.slice(0, trunk).entries()) {
    const cost = at(placeLayer(layer, count, settings));
    const one = { contextLength: depth, sequences: 1, batchSize: 1, microBatchSize: 1, outputs: 1 };
    cost.cacheBytes += countCacheBytes({ keyLength, valueLength, queryLength, ...rest }, one, settings.kvType);
    // Scores, and the sum of values that they weigh.
    if (keyLength > 0) cost.operations += 2 * OPERATIONS_EACH * queryLength * depth;
    cost.operations += OPERATIONS_EACH * 2 * rest.stateLength;
  }
  return { host, devices };
}

/** Of a tensor, what one token reads of it. */
function shareOf({ isInput, isExpert, rows }: ShapeTensor, { experts }: ModelShape): number {
  // A row is looked up.
  if (isInput) return rows > 1 ? 1 / rows : 1;
  return isExpert && experts !== null ? experts.used / experts.count : 1;
}

function countNumbers({ columns, rows, isExpert }: ShapeTensor, { experts }: ModelShape): number {
  return columns * rows * (isExpert && experts !== null ? experts.count : 1);
}

/** The input's matrix is read whole where it is the output's too. */
function addTiedOutput(shape: ModelShape, cost: TokenCost): void {
  const embedding = shape.tiesOutput ? shape.tensors.find(({ name }) => name === "token_embd.weight") : undefined;
  if (embedding === undefined) return;
  cost.weightBytes += embedding.bytes;
  cost.operations += OPERATIONS_EACH * embedding.columns * embedding.rows;
}

function nothing(): TokenCost {
  return { weightBytes: 0, cacheBytes: 0, operations: 0 };
}
