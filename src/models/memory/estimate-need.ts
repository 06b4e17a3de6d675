// What an engine will take, by a formula over the model's shape and the settings: before a download, and for the many
// settings that a plan tries. Pure. What it is checked against is llama.cpp's own account (the `measure` job).

import {
  type ContextSizes,
  limitRetained,
  sizeDraft,
  sizeEmbedding,
  sizeGeneration,
} from "../../protocol/context-sizes.ts";
import { addNeeds, type LoadSettings, type MemoryNeed, noParts } from "../../protocol/memory-need.ts";
import {
  countCacheBytes,
  countComputeBytes,
  countOutputBytes,
  countRows,
  countRowWorkBytes,
  padCells,
} from "./context-bytes.ts";
import { keepsStates, type LayerShape, type ModelShape, trunkOf } from "./model-shape.ts";
import { NO_REPACKING, type RepackRules } from "./repacking.ts";
import { groupWeights, placeLayer } from "./weight-places.ts";

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
  return prepareEstimate(shape, options)(settings);
}

/** For many settings: what does not depend on them is added up once. */
export function prepareEstimate(
  shape: ModelShape,
  { repacking = NO_REPACKING, role = "main", withHead = false }: EstimateOptions = {},
): (settings: LoadSettings) => MemoryNeed {
  const trunk = trunkOf(shape);
  const estimateTrunk = prepareContext(shape, trunk, 0);
  const hasHead = withHead && shape.headLayers > 0 && !shape.embedsOnly;
  const estimateHead = hasHead ? prepareContext(shape, shape.layers.slice(trunk.length), trunk.length) : null;
  const placeWeights = groupWeights(shape, { repacking, loadsHead: withHead });
  const sizesOf = prepareSizes(shape);
  const tokenBytes = shape.mergeCount > 0 ? BYTE_PAIR_TOKEN_BYTES : TOKEN_BYTES;
  const fixedBytes =
    (role === "main" ? RUNTIME_BYTES : 0) + shape.vocabularySize * tokenBytes + shape.mergeCount * MERGE_BYTES;
  return (settings) => {
    const { main, context } = sizesOf(settings);
    let need = estimateTrunk(role === "draft" ? sizeDraft(main, settings.parallel) : context, settings);
    if (estimateHead !== null) {
      need = addNeeds(need, estimateHead(sizeDraft(context, settings.parallel), settings));
      // The model's hidden rows of a whole batch, which the layers read.
      need.host.overheadBytes += context.batchSize * shape.width * 4;
    }
    const weights = placeWeights(settings);
    need.host.weightsBytes += weights.repackedBytes;
    need.host.mappedBytes += weights.mappedBytes;
    for (const [device, bytes] of weights.deviceBytes.entries()) {
      const parts = need.devices[device];
      if (parts !== undefined) parts.weightsBytes += bytes;
    }
    need.host.overheadBytes += fixedBytes;
    return need;
  };
}

/** What the first embedding adds to an engine that generates: a context of its own. */
export function estimateEmbedding(shape: ModelShape, settings: LoadSettings): MemoryNeed {
  const sizes = sizeEmbeddingOf(shape, settings);
  const trunk = trunkOf(shape);
  return prepareContext({ ...shape, embedsOnly: true }, trunk, 0)(sizes, settings);
}

/** Of a context that generates, and of the one that the model really has. */
function prepareSizes(shape: ModelShape): (settings: LoadSettings) => { main: ContextSizes; context: ContextSizes } {
  const recurrent = keepsStates(shape);
  return (settings) => {
    const main = sizeGeneration({ ...settings, retainedMax: limitRetained(settings, recurrent) });
    return { main, context: shape.embedsOnly ? sizeEmbeddingOf(shape, settings) : main };
  };
}

function sizeEmbeddingOf(shape: ModelShape, { microBatchSize }: LoadSettings): ContextSizes {
  const { trainedContextLength, splitsInputs: splits } = shape;
  return sizeEmbedding(microBatchSize, trainedContextLength, { splits, keepsStates: keepsStates(shape) });
}

/** Of the layers from `first` on. The output's part is where llama.cpp puts the output. */
function prepareContext(
  shape: ModelShape,
  layers: readonly LayerShape[],
  first: number,
): (sizes: ContextSizes, settings: LoadSettings) => MemoryNeed {
  const count = shape.layers.length;
  const { kinds, kindOf } = sortKinds(layers);
  const hasCells = layers.some(({ keyLength }) => keyLength > 0);
  const rowWorkBytes = countRowWorkBytes(shape);
  // The engine leaves the fused operation out for cells in full precision, which it would round.
  const unfused = { ...shape, fusesAttention: false };
  return (sizes, settings) => {
    const computed = settings.kvType === "f32" ? unfused : shape;
    const kvBytes = kinds.map((kind) => countCacheBytes(kind, sizes, settings.kvType));
    const host = noParts();
    const devices = settings.deviceShares.map(noParts);
    const hostKinds = new Set<LayerShape>();
    const deviceKinds = devices.map(() => new Set<LayerShape>());
    for (const [index, kind] of kindOf.entries()) {
      const place = placeLayer(first + index, count, settings);
      const parts = (place === "host" ? host : devices[place]) ?? host;
      parts.kvBytes += kvBytes[kind] ?? 0;
      const layer = kinds[kind];
      if (layer !== undefined) (place === "host" ? hostKinds : deviceKinds[place])?.add(layer);
    }
    const outputPlace = placeLayer(count, count, settings);
    host.computeBytes = countComputeBytes(computed, [...hostKinds], sizes, outputPlace === "host");
    for (const [device, parts] of devices.entries()) {
      const here = [...(deviceKinds[device] ?? [])];
      parts.computeBytes = countComputeBytes(computed, here, sizes, outputPlace === device);
    }
    const usesHost = outputPlace === "host" || hostKinds.size > 0;
    // Rows are looked up on the host and handed over from there, wherever the layers are.
    if (!usesHost) host.computeBytes += countRows(sizes) * (shape.width * 4 + padCells(sizes.contextLength) * 2);
    else host.computeBytes += countRows(sizes) * rowWorkBytes;
    const cells = hasCells ? padCells(sizes.contextLength) : 0;
    host.overheadBytes +=
      countOutputBytes(shape, sizes) + layers.length * LAYER_BYTES + cells * CELL_BYTES * (shape.hasWindows ? 2 : 1);
    return { host, devices };
  };
}

/** Most layers of a model are alike, and each kind is reckoned with once. */
function sortKinds(layers: readonly LayerShape[]): { kinds: LayerShape[]; kindOf: number[] } {
  const kinds: LayerShape[] = [];
  const known = new Map<string, number>();
  const kindOf = layers.map((layer) => {
    const key = JSON.stringify(layer);
    const kind = known.get(key) ?? kinds.push(layer) - 1;
    known.set(key, kind);
    return kind;
  });
  return { kinds, kindOf };
}
