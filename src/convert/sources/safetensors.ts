// The weights of SafeTensors files: one, or several with an index. Reads no tensor until it is asked to, and never a whole
// file.

import { withFile } from "../../formats/read-at.ts";
import {
  readSafetensorsHeader,
  SafetensorsError,
  type SafetensorsTensor,
} from "../../formats/safetensors/read-header.ts";
import { damagedModel } from "../json-file.ts";
import { keyOf, type Weight, type WeightSource } from "../weights.ts";
import { gatherParts, type PartNames, PartReader, refusePart } from "./parts.ts";

export const SAFETENSORS_PARTS: PartNames = {
  index: "model.safetensors.index.json",
  patterns: [/^model.*\.safetensors$/],
  shown: "model*.safetensors and no pytorch_model*.bin",
};

interface Place {
  path: string;
  start: number;
}

export class SafetensorsWeights implements WeightSource {
  /** By part, and within one by name: the order in which llama.cpp's converter writes them. */
  readonly tensors: ReadonlyMap<string, Weight>;
  readonly #places: ReadonlyMap<string, Place>;
  readonly #files = new PartReader();

  private constructor(tensors: ReadonlyMap<string, Weight & Place>) {
    this.tensors = tensors;
    this.#places = tensors;
  }

  /** Reads the headers of all parts. Throws AppError when parts or tensors are missing, or are not what they should be. */
  static open(folder: string, names: PartNames = SAFETENSORS_PARTS): SafetensorsWeights {
    return new SafetensorsWeights(
      gatherParts(folder, names, (path, part) => {
        const found = [...readHeader(path, part).values()].sort((a, b) => (a.name < b.name ? -1 : 1));
        return found.map(({ name, dtype, shape, start }) => ({ name, key: name, dtype, shape, path, start }));
      }),
    );
  }

  read(weight: Weight, offset: number, target: Uint8Array): void {
    const place = this.#places.get(keyOf(weight));
    if (place === undefined) throw new Error(`the tensor ${weight.name} is in no file`);
    this.#files.read(place.path, place.start + offset, target);
  }

  [Symbol.dispose](): void {
    this.#files[Symbol.dispose]();
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
