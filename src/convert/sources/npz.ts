// The weights of NumPy archives, as MLX kept them before SafeTensors: `weights.npz`, or several. Arrays lie in them as they are.

import { readNpz } from "../../formats/npz/read-npz.ts";
import { withFile } from "../../formats/read-at.ts";
import { ZipError } from "../../formats/zip/read-zip.ts";
import { AppError } from "../../protocol/errors.ts";
import { damagedModel } from "../json-file.ts";
import type { Weight } from "../weights.ts";
import { gatherParts, type PartNames, refusePart } from "./parts.ts";
import { type Place, PlacedWeights } from "./placed-weights.ts";

export const NPZ_PARTS: PartNames = {
  index: "weights.npz.index.json",
  patterns: [/^weights(\.\d{1,5})?\.npz$/],
  shown: "weights.npz",
};

export function openNpz(folder: string): PlacedWeights {
  return new PlacedWeights(gatherParts(folder, NPZ_PARTS, readPart));
}

function readPart(path: string, part: string): (Weight & Place)[] {
  try {
    const arrays = withFile(path, (file) => readNpz(file));
    return arrays.map(({ name, dtype, shape, start }) => {
      if (start === null) throw compressed(part, name);
      return { name, key: name, dtype, shape, path, start };
    });
  } catch (thrown) {
    if (thrown instanceof ZipError) throw damagedModel(`${part}: ${thrown.message}`);
    return refusePart(thrown, path, part);
  }
}

function compressed(part: string, name: string): AppError {
  const message = `${part}: the array "${name.slice(0, 80)}" is compressed, or lies column by column`;
  return new AppError({ code: "format_unsupported", message, hint: "Save it with numpy.savez, or use SafeTensors." });
}
