// Where a model's tensors lie: mapped on the host, copied there for the processor's kernels, or on a device. llama.cpp's
// rules of `load_tensors`. Pure.

import type { LoadSettings } from "../../protocol/memory-need.ts";
import type { ModelShape, ShapeTensor } from "./model-shape.ts";
import { countRepacked, type RepackRules } from "./repacking.ts";

/** The host, or a device's number. */
export type Place = "host" | number;

export interface PlacedWeights {
  mappedBytes: number;
  repackedBytes: number;
  /** In the order of the shares. */
  deviceBytes: number[];
}

type Placing = Pick<LoadSettings, "gpuLayers" | "deviceShares" | "hostExpertLayers">;

/** Of layer N; the output is the one after the last. */
export function placeLayer(layer: number, layerCount: number, { gpuLayers, deviceShares }: Placing): Place {
  const first = Math.max(layerCount + 1 - gpuLayers, 0);
  const onDevices = Math.min(gpuLayers, layerCount + 1);
  if (deviceShares.length === 0 || layer < first || layer - first >= onDevices) return "host";
  const at = (layer - first) / onDevices;
  let sum = 0;
  for (const [device, share] of deviceShares.entries()) {
    sum += share;
    if (at < sum - ROUNDING) return device;
  }
  return deviceShares.length - 1;
}

/** Shares are sums of fractions: a layer at a border belongs to the next device. */
const ROUNDING = 1e-6;

/** `loadsHead`: prediction layers are read, which else stay in the file. */
export interface WeightOptions {
  repacking: RepackRules;
  loadsHead: boolean;
}

/** Tensors that are always at the same place, added up: a plan asks thousands of times, and a model has thousands of tensors. */
interface WeightGroup {
  isInput: boolean;
  isExpert: boolean;
  layer: number | null;
  deviceBytes: number;
  /** On the host: what is mapped where nothing is copied, and where copies are made. */
  plainBytes: number;
  mappedBytes: number;
  repackedBytes: number;
}

/** Where they lie with settings that are given later. */
export function groupWeights(shape: ModelShape, options: WeightOptions): (settings: Placing) => PlacedWeights {
  const groups = listGroups(shape, options);
  return (settings) => {
    const usesDevices = settings.gpuLayers > 0 && settings.deviceShares.length > 0;
    const deviceBytes = settings.deviceShares.map(() => 0);
    const placed: PlacedWeights = { mappedBytes: 0, repackedBytes: 0, deviceBytes };
    for (const group of groups) {
      const place = placeTensor(group, shape, settings);
      if (place !== "host") deviceBytes[place] = (deviceBytes[place] ?? 0) + group.deviceBytes;
      else if (usesDevices) placed.mappedBytes += group.plainBytes;
      else {
        placed.mappedBytes += group.mappedBytes;
        placed.repackedBytes += group.repackedBytes;
      }
    }
    return placed;
  };
}

function listGroups(shape: ModelShape, { repacking, loadsHead }: WeightOptions): WeightGroup[] {
  const groups = new Map<string, WeightGroup>();
  const add = ({ isInput, isExpert, layer, bytes }: ShapeTensor, copied: number | null, plainBytes: number): void => {
    const key = isInput ? "input" : `${layer} ${isExpert}`;
    const none = { deviceBytes: 0, plainBytes: 0, mappedBytes: 0, repackedBytes: 0 };
    const group = groups.get(key) ?? { isInput, isExpert, layer, ...none };
    groups.set(key, group);
    group.deviceBytes += bytes;
    group.plainBytes += plainBytes;
    if (copied === null) group.mappedBytes += plainBytes;
    else group.repackedBytes += copied;
  };
  const trunk = shape.layers.length - shape.headLayers;
  for (const tensor of shape.tensors) {
    if (tensor.layer !== null && tensor.layer >= trunk && !loadsHead) continue;
    add(tensor, countRepacked(tensor, repacking), tensor.bytes);
    if (!tensor.isInput || !shape.tiesOutput || tensor.name !== "token_embd.weight") continue;
    // The input's matrix once more, where the output wants it in another place or order: as it is it is mapped already.
    const output = { ...tensor, isInput: false, isMatrix: true };
    add(output, countRepacked(output, repacking), 0);
  }
  return [...groups.values()];
}

export function placeTensor(
  { layer, isInput, isExpert }: Pick<ShapeTensor, "layer" | "isInput" | "isExpert">,
  { layers }: ModelShape,
  settings: Placing,
): Place {
  if (isInput) return "host";
  if (isExpert && layer !== null && layer < settings.hostExpertLayers) return "host";
  return placeLayer(layer ?? layers.length, layers.length, settings);
}
