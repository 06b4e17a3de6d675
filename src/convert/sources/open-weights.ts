// Which source a model's folder is read by: by the format of its files, and by how the weights in them are packed.

import type { Fields } from "../json-file.ts";
import type { WeightSource } from "../weights.ts";
import { hasParts } from "./parts.ts";
import { PYTORCH_PARTS, PytorchWeights } from "./pytorch.ts";
import { unpackWeights } from "./quantization.ts";
import { SAFETENSORS_PARTS, SafetensorsWeights } from "./safetensors.ts";

/** Throws AppError when there are no weights, when they are not whole, or when they can't be unpacked. */
export function openWeights(folder: string, config: Fields): WeightSource {
  const files = openFiles(folder);
  try {
    return unpackWeights(files, folder, config);
  } catch (thrown) {
    files[Symbol.dispose]();
    throw thrown;
  }
}

function openFiles(folder: string): WeightSource {
  // Many folders have both; SafeTensors say more about themselves.
  if (hasParts(folder, SAFETENSORS_PARTS) || !hasParts(folder, PYTORCH_PARTS)) return SafetensorsWeights.open(folder);
  return PytorchWeights.open(folder);
}
