// The weights of PyTorch's checkpoints: `pytorch_model.bin` in one part or several, or one `model.pt`. The pickle in them is
// read as data and runs nothing; storages are read by ranges, and views that are not in order are put in order.

import { DTYPE_BYTES } from "../../formats/pytorch/allowed-globals.ts";
import {
  isCheckpointError,
  modelTensors,
  type PytorchCheckpoint,
  readPytorchCheckpoint,
} from "../../formats/pytorch/read-checkpoint.ts";
import { withFile } from "../../formats/read-at.ts";
import { AppError } from "../../protocol/errors.ts";
import { damagedModel } from "../json-file.ts";
import { keyOf, nameSome, type Weight, type WeightSource } from "../weights.ts";
import { HeldBytes } from "./held-bytes.ts";
import { gatherParts, type PartNames, PartReader, refusePart } from "./parts.ts";

export const PYTORCH_PARTS: PartNames = {
  index: "pytorch_model.bin.index.json",
  patterns: [/^pytorch_model.*\.bin$/, /^model\.bin$/, /^(pytorch_)?model\.(pt|pth)$/],
  shown: "model*.safetensors or pytorch_model*.bin",
};

interface StoredTensor extends Weight {
  path: string;
  start: number;
  strides: readonly number[];
  contiguous: boolean;
}

/** Runs of elements that lie together are read one by one when they are at least that long; shorter ones at once. */
const RUN_BYTES_MIN = 4_096;

export class PytorchWeights implements WeightSource {
  /** By part, and within one in the order of its dictionary, as llama.cpp's converter writes them. */
  readonly tensors: ReadonlyMap<string, Weight>;
  readonly #stored: ReadonlyMap<string, StoredTensor>;
  readonly #files = new PartReader();
  readonly #held = new HeldBytes();

  private constructor(tensors: ReadonlyMap<string, StoredTensor>) {
    this.tensors = tensors;
    this.#stored = tensors;
  }

  /** Reads the pickles of all parts. Throws AppError. */
  static open(folder: string, names: PartNames = PYTORCH_PARTS): PytorchWeights {
    return new PytorchWeights(gatherParts(folder, names, readPart));
  }

  read(weight: Weight, offset: number, target: Uint8Array): void {
    const tensor = this.#stored.get(keyOf(weight));
    if (tensor === undefined) throw new Error(`the tensor ${weight.name} is in no file`);
    if (tensor.contiguous) this.#files.read(tensor.path, tensor.start + offset, target);
    else this.#gather(tensor, offset, target);
  }

  [Symbol.dispose](): void {
    this.#files[Symbol.dispose]();
  }

  /** Elements of a view in the order of its shape. */
  #gather(tensor: StoredTensor, offset: number, target: Uint8Array): void {
    const { path, start, name } = tensor;
    const itemBytes = DTYPE_BYTES.get(tensor.dtype) ?? 1;
    const runBytes = countRun(tensor) * itemBytes;
    if (runBytes < RUN_BYTES_MIN) {
      const length = countExtent(tensor) * itemBytes;
      const held = this.#held.take(name, length, (bytes) => this.#files.read(path, start, bytes));
      gatherItems(tensor, held, itemBytes, offset / itemBytes, target);
      return;
    }
    for (let done = 0; done < target.byteLength; ) {
      const at = offset + done;
      const count = Math.min(runBytes - (at % runBytes), target.byteLength - done);
      this.#files.read(path, start + placeOf(tensor, at / itemBytes) * itemBytes, target.subarray(done, done + count));
      done += count;
    }
  }
}

/** The items from `first` on, out of all that lie between the first and the last one. */
function gatherItems(
  tensor: StoredTensor,
  held: Uint8Array,
  itemBytes: number,
  first: number,
  target: Uint8Array,
): void {
  // Larger ones are moved word by word: as numbers they might change.
  const size = Math.min(itemBytes, 4);
  const words = itemBytes / size;
  const isAligned = target.byteOffset % size === 0;
  const gathered = isAligned ? target : new Uint8Array(target.byteLength);
  const [from, to] = [asWords(held, size), asWords(gathered, size)];
  const columns = tensor.shape.at(-1) ?? 1;
  const step = (tensor.strides.at(-1) ?? 0) * words;
  const items = to.length / words;
  for (let done = 0; done < items; ) {
    const place = placeOf(tensor, first + done) * words;
    const count = Math.min(columns - ((first + done) % columns), items - done);
    for (let i = 0; i < count; i++) {
      for (let word = 0; word < words; word++) to[(done + i) * words + word] = from[place + i * step + word] as number;
    }
    done += count;
  }
  if (!isAligned) target.set(gathered);
}

function asWords(bytes: Uint8Array, size: number): Uint8Array | Uint16Array | Uint32Array {
  const length = bytes.byteLength / size;
  if (size === 1) return bytes;
  return size === 2
    ? new Uint16Array(bytes.buffer, bytes.byteOffset, length)
    : new Uint32Array(bytes.buffer, bytes.byteOffset, length);
}

/** How many elements lie one behind the other, from the last dimension on. */
function countRun({ shape, strides }: StoredTensor): number {
  let run = 1;
  for (let index = shape.length - 1; index >= 0; index--) {
    const size = shape[index] ?? 1;
    if (size !== 1 && strides[index] !== run) break;
    run *= size;
  }
  return run;
}

/** Elements from the first to the last one, as they are stored. */
function countExtent({ shape, strides }: StoredTensor): number {
  return shape.reduce((sum, size, index) => sum + (size - 1) * (strides[index] ?? 0), 0) + 1;
}

/** Where an element lies, counted from the first one. */
function placeOf({ shape, strides }: StoredTensor, element: number): number {
  let rest = element;
  let place = 0;
  for (let index = shape.length - 1; index >= 0; index--) {
    const size = shape[index] ?? 1;
    place += (rest % size) * (strides[index] ?? 0);
    rest = Math.floor(rest / size);
  }
  return place;
}

function readPart(path: string, part: string): StoredTensor[] {
  const checkpoint = readCheckpoint(path, part);
  if (checkpoint.refused.length > 0) {
    throw new AppError({
      code: "format_unsupported",
      message: `${part} asks for ${nameSome(checkpoint.refused)}, which was refused: only tensors are read from a pickle`,
      hint: "Do not open it with PyTorch unless you trust its maker; fetch the SafeTensors of the same model.",
    });
  }
  return modelTensors(checkpoint).map((tensor) => ({ ...tensor, key: tensor.name, path }));
}

function readCheckpoint(path: string, part: string): PytorchCheckpoint {
  try {
    const read = withFile(path, readPytorchCheckpoint);
    if (read !== null) return read;
  } catch (thrown) {
    if (!isCheckpointError(thrown)) return refusePart(thrown, path, part);
    if (!("reason" in thrown) || thrown.reason !== "unsupported") throw damagedModel(`${part}: ${thrown.message}`);
    throw unreadable(`${part}: ${thrown.message}`);
  }
  throw unreadable(`${part} is no checkpoint that PyTorch wrote`);
}

function unreadable(message: string): AppError {
  return new AppError({ code: "format_unsupported", message, hint: "Fetch the SafeTensors of the same model." });
}
