// What an engine will take, by a formula over the model's shape and the settings: before a download, and for the many
// settings that a plan tries. Pure. What it is checked against is llama.cpp's own account (the `measure` job).

import {
  type ContextSizes,
  limitRetained,
  sizeDraft,
  sizeEmbedding,
  sizeGeneration,
} from "../../protocol/context-sizes.ts";
import type { LoadSettings, MemoryNeed, MemoryParts } from "../../protocol/memory-need.ts";
import {
  countCacheBytes,
  countComputeBytes,
  countOutputBytes,
  countRows,
  countWorkBytes,
  padCells,
} from "./context-bytes.ts";
import type { LayerShape, ModelShape } from "./model-shape.ts";
import { NO_REPACKING, type RepackRules } from "./repacking.ts";
import { type Place, placeLayer, placeWeights } from "./weight-places.ts";

export interface EstimateOptions {
  /** What the processor's plug-in copies. Default: nothing. */
  repacking?: RepackRules;
  /** `draft`: a second model, that guesses for the one with these settings. */
  role?: "main" | "draft";
  /** With the model's own prediction layers, and a context for them. */
  withHead?: boolean;
}

/** An engine that has loaded nothing: the runtime, the libraries' own memory. Measured on Linux x64. */
const RUNTIME_BYTES = 20 * 1024 * 1024;
/** Measured: texts, maps and scores of a token; a rank of a merge; ggml's notes of a layer's graph; of a KV cell. */
const TOKEN_BYTES = 150;
const BYTE_PAIR_TOKEN_BYTES = 245;
const MERGE_BYTES = 95;
const LAYER_BYTES = 110 * 1024;
const CELL_BYTES = 52;

export function estimateNeed(shape: ModelShape, settings: LoadSettings, options: EstimateOptions = {}): MemoryNeed {
  const { repacking = NO_REPACKING, role = "main", withHead = false } = options;
  const main = sizeContext(shape, settings);
  const sizes = role === "draft" ? sizeDraft(sizeMain(shape, settings), settings.parallel) : main;
  const trunk = shape.layers.slice(0, shape.layers.length - shape.headLayers);
  const need = estimateContext(shape, trunk, 0, sizes, settings);
  if (withHead && shape.headLayers > 0 && !shape.embedsOnly) {
    const head = shape.layers.slice(trunk.length);
    const guesser = sizeDraft(main, settings.parallel);
    addNeed(need, estimateContext(shape, head, trunk.length, guesser, settings));
    // The model's hidden rows of a whole batch, which the layers read.
    need.host.overheadBytes += main.batchSize * shape.width * 4;
  }
  const weights = placeWeights(shape, settings, { repacking, loadsHead: withHead });
  need.host.weightsBytes += weights.repackedBytes;
  need.host.mappedBytes += weights.mappedBytes;
  for (const [device, bytes] of weights.deviceBytes.entries()) {
    const parts = need.devices[device];
    if (parts !== undefined) parts.weightsBytes += bytes;
  }
  const isBytePair = shape.mergeCount > 0;
  need.host.overheadBytes +=
    (role === "main" ? RUNTIME_BYTES : 0) +
    shape.vocabularySize * (isBytePair ? BYTE_PAIR_TOKEN_BYTES : TOKEN_BYTES) +
    shape.mergeCount * MERGE_BYTES;
  return need;
}

/** What the first embedding adds to an engine that generates: a context of its own. */
export function estimateEmbedding(shape: ModelShape, settings: LoadSettings): MemoryNeed {
  const sizes = sizeEmbeddingOf(shape, settings);
  const trunk = shape.layers.slice(0, shape.layers.length - shape.headLayers);
  return estimateContext({ ...shape, embedsOnly: true }, trunk, 0, sizes, settings);
}

function sizeContext(shape: ModelShape, settings: LoadSettings): ContextSizes {
  return shape.embedsOnly ? sizeEmbeddingOf(shape, settings) : sizeMain(shape, settings);
}

function sizeEmbeddingOf(shape: ModelShape, { microBatchSize }: LoadSettings): ContextSizes {
  const { trainedContextLength, splitsInputs: splits } = shape;
  return sizeEmbedding(microBatchSize, trainedContextLength, { splits, keepsStates: keepsStates(shape) });
}

function sizeMain(shape: ModelShape, settings: LoadSettings): ContextSizes {
  return sizeGeneration({ ...settings, retainedMax: limitRetained(settings, keepsStates(shape)) });
}

function keepsStates({ layers }: ModelShape): boolean {
  return layers.some(({ stateLength, convolutionLength }) => stateLength + convolutionLength > 0);
}

/** Of the layers from `first` on. The output's part is where llama.cpp puts the output. */
function estimateContext(
  shape: ModelShape,
  layers: readonly LayerShape[],
  first: number,
  sizes: ContextSizes,
  settings: LoadSettings,
): MemoryNeed {
  const count = shape.layers.length;
  const places = layers.map((_, index) => placeLayer(first + index, count, settings));
  const outputPlace = placeLayer(count, count, settings);
  // The engine leaves the fused operation out for cells in full precision, which it would round.
  const computed = settings.kvType === "f32" ? { ...shape, fusesAttention: false } : shape;
  const ofPlace = (place: Place): MemoryParts => {
    const here = layers.filter((_, index) => places[index] === place);
    return {
      ...nothing(),
      kvBytes: here.reduce((sum, layer) => sum + countCacheBytes(layer, sizes, settings.kvType), 0),
      computeBytes: countComputeBytes(computed, here, sizes, outputPlace === place),
    };
  };
  const host = ofPlace("host");
  const usesHost = outputPlace === "host" || places.includes("host");
  // Rows are looked up on the host and handed over from there, wherever the layers are.
  if (!usesHost) host.computeBytes += countRows(sizes) * (shape.width * 4 + padCells(sizes.contextLength) * 2);
  else host.computeBytes += countWorkBytes(shape, sizes);
  const cells = layers.some(({ keyLength }) => keyLength > 0) ? padCells(sizes.contextLength) : 0;
  host.overheadBytes +=
    countOutputBytes(shape, sizes) + layers.length * LAYER_BYTES + cells * CELL_BYTES * (shape.hasWindows ? 2 : 1);
  return { host, devices: settings.deviceShares.map((_, device) => ofPlace(device)) };
}

function nothing(): MemoryParts {
  return { weightsBytes: 0, mappedBytes: 0, kvBytes: 0, computeBytes: 0, overheadBytes: 0 };
}

function addNeed(sum: MemoryNeed, more: MemoryNeed): void {
  addParts(sum.host, more.host);
  for (const [device, parts] of more.devices.entries()) {
    const known = sum.devices[device];
    if (known !== undefined) addParts(known, parts);
  }
}

function addParts(sum: MemoryParts, more: MemoryParts): void {
  sum.weightsBytes += more.weightsBytes;
  sum.mappedBytes += more.mappedBytes;
  sum.kvBytes += more.kvBytes;
  sum.computeBytes += more.computeBytes;
  sum.overheadBytes += more.overheadBytes;
}
