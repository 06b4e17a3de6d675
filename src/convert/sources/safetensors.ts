// The weights of SafeTensors files: one, or several with an index. Reads no tensor until it is asked to, and never a whole
// file.

import { withFile } from "../../formats/read-at.ts";
import {
  readSafetensorsHeader,
  SafetensorsError,
  type SafetensorsTensor,
} from "../../formats/safetensors/read-header.ts";
import { damagedModel } from "../json-file.ts";
import { gatherParts, type PartNames, refusePart } from "./parts.ts";
import { PlacedWeights } from "./placed-weights.ts";

export const SAFETENSORS_PARTS: PartNames = {
  index: "model.safetensors.index.json",
  patterns: [/^model.*\.safetensors$/],
  shown: "model*.safetensors and no pytorch_model*.bin",
};

export class SafetensorsWeights extends PlacedWeights {
  /**
   * Reads the headers of all parts: tensors by part, and within one by name, as llama.cpp's converter writes them. Throws
   * AppError when parts or tensors are missing, or are not what they should be.
   */
  static open(folder: string, names: PartNames = SAFETENSORS_PARTS): SafetensorsWeights {
    return new SafetensorsWeights(
      gatherParts(folder, names, (path, part) => {
        const found = [...readHeader(path, part).values()].sort((a, b) => (a.name < b.name ? -1 : 1));
        return found.map(({ name, dtype, shape, start }) => ({ name, key: name, dtype, shape, path, start }));
      }),
    );
  }
}

function readHeader(path: string, part: string): ReadonlyMap<string, SafetensorsTensor> {
  try {
    return withFile(path, (file) => readSafetensorsHeader(file).tensors);
  } catch (thrown) {
    if (thrown instanceof SafetensorsError) {
      const hint = thrown.reason === "unsupported" ? "Use a version of the model in F32, F16 or BF16." : undefined;
      throw damagedModel(`${part}: ${thrown.message}`, hint);
    }
    return refusePart(thrown, path, part);
  }
}
