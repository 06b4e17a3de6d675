// Which source a model's folder is read by: by the format of its files, and by how the weights in them are packed.

import { readdirSync } from "node:fs";
import { type Fields, orUnreadable } from "../json-file.ts";
import type { WeightSource } from "../weights.ts";
import { NPZ_PARTS, openNpz } from "./npz.ts";
import { JoinedWeights, OwnLayoutWeights } from "./own-layout.ts";
import { hasParts, type PartNames } from "./parts.ts";
import { PYTORCH_PARTS, PytorchWeights } from "./pytorch.ts";
import { unpackWeights } from "./quantization.ts";
import { SAFETENSORS_PARTS, SafetensorsWeights } from "./safetensors.ts";

/** As Mistral publishes its own. */
const CONSOLIDATED: PartNames = {
  index: "consolidated.safetensors.index.json",
  patterns: [/^consolidated\.safetensors$/],
  shown: "consolidated.safetensors",
};
/** As Meta does: with two digits, since the largest models are in sixteen. */
const CONSOLIDATED_PTH = /^consolidated\.\d{2}\.pth$/;

/** Throws AppError when there are no weights, when they are not whole, or when they can't be unpacked. */
export function openWeights(folder: string, config: Fields): WeightSource {
  const files = openFiles(folder, config);
  try {
    return OwnLayoutWeights.rename(unpackWeights(files, folder, config));
  } catch (thrown) {
    files[Symbol.dispose]();
    throw thrown;
  }
}

function openFiles(folder: string, config: Fields): WeightSource {
  // Many folders have several; SafeTensors say more about themselves.
  if (hasParts(folder, SAFETENSORS_PARTS)) return SafetensorsWeights.open(folder);
  if (hasParts(folder, PYTORCH_PARTS)) return PytorchWeights.open(folder);
  if (hasParts(folder, CONSOLIDATED)) return SafetensorsWeights.open(folder, CONSOLIDATED);
  const consolidated = orUnreadable(folder, () => readdirSync(folder)).filter((name) => CONSOLIDATED_PTH.test(name));
  if (consolidated.length > 0) return openConsolidated(folder, consolidated.sort(), config);
  return hasParts(folder, NPZ_PARTS) ? openNpz(folder) : SafetensorsWeights.open(folder);
}

/** Each file has a part of every tensor. */
function openConsolidated(folder: string, names: readonly string[], config: Fields): WeightSource {
  const open = (name: string): WeightSource =>
    PytorchWeights.open(folder, {
      index: `${name}.index.json`,
      patterns: [new RegExp(`^${name.replaceAll(".", "\\.")}$`)],
      shown: name,
    });
  const sources: WeightSource[] = [];
  try {
    for (const name of names) sources.push(open(name));
    return new JoinedWeights(sources, config.requiredSize("hidden_size"));
  } catch (thrown) {
    for (const source of sources) source[Symbol.dispose]();
    throw thrown;
  }
}
