// Where a model's tensors lie: mapped on the host, copied there for the processor's kernels, or on a device. llama.cpp's
// rules of `load_tensors`. Pure.

import type { LoadSettings } from "../../protocol/memory-need.ts";
import type { ModelShape, ShapeTensor } from "./model-shape.ts";
import { countRepacked, NO_REPACKING, type RepackRules } from "./repacking.ts";

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
export function placeWeights(
  shape: ModelShape,
  settings: Placing,
  { repacking, loadsHead }: { repacking: RepackRules; loadsHead: boolean },
): PlacedWeights {
  const usesDevices = settings.gpuLayers > 0 && settings.deviceShares.length > 0;
  const rules = usesDevices ? NO_REPACKING : repacking;
  const placed: PlacedWeights = { mappedBytes: 0, repackedBytes: 0, deviceBytes: settings.deviceShares.map(() => 0) };
  const trunk = shape.layers.length - shape.headLayers;
  for (const tensor of shape.tensors) {
    if (tensor.layer !== null && tensor.layer >= trunk && !loadsHead) continue;
    addTensor(placed, tensor, placeTensor(tensor, shape, settings), rules);
    if (tensor.isInput && shape.tiesOutput && tensor.name === "token_embd.weight")
      addOutput(placed, tensor, shape, settings, rules);
  }
  return placed;
}

export function placeTensor(
  { layer, isInput, isExpert }: ShapeTensor,
  { layers }: ModelShape,
  settings: Placing,
): Place {
  if (isInput) return "host";
  if (isExpert && layer !== null && layer < settings.hostExpertLayers) return "host";
  return placeLayer(layer ?? layers.length, layers.length, settings);
}

function addTensor(placed: PlacedWeights, tensor: ShapeTensor, place: Place, rules: RepackRules): void {
  const copied = place === "host" ? countRepacked(tensor, rules) : null;
  if (place !== "host") placed.deviceBytes[place] = (placed.deviceBytes[place] ?? 0) + tensor.bytes;
  else if (copied !== null) placed.repackedBytes += copied;
  else placed.mappedBytes += tensor.bytes;
}

/** The input's matrix once more, where the output wants it in another place or order. */
function addOutput(
  placed: PlacedWeights,
  tensor: ShapeTensor,
  shape: ModelShape,
  settings: Placing,
  rules: RepackRules,
): void {
  const output = { ...tensor, isInput: false, isMatrix: true };
  const place = placeTensor(output, shape, settings);
  if (place === "host" && countRepacked(output, rules) === null) return;
  addTensor(placed, output, place, rules);
}
