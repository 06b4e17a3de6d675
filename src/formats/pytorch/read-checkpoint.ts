// A PyTorch checkpoint's tensors: names, types, shapes and where their bytes lie, out of a zip archive or a file of the time
// before. Every storage is checked against the bytes that are there. Reads no weights.

import { bytesAsFile, type ReadAt, readBytes, sliceFile } from "../read-at.ts";
import { OutOfFileError, WindowedFile } from "../windowed-file.ts";
import { locateZipEntry, readZipDirectory, readZipEntry, type ZipEntry, ZipError } from "../zip/read-zip.ts";
import { DTYPE_BYTES, storageDtype } from "./allowed-globals.ts";
import { collectTensors } from "./collect-tensors.ts";
import {
  isKind,
  OPAQUE,
  PickleError,
  type PickleStorage,
  type PickleTensor,
  type PickleValue,
} from "./pickle-values.ts";
import { unpickle } from "./unpickle.ts";

export interface PytorchTensor {
  name: string;
  /** In SafeTensors' words, such as `BF16`. */
  dtype: string;
  shape: readonly number[];
  /** In elements. */
  strides: readonly number[];
  /** Where its first element lies in the file. */
  start: number;
  /** True when its elements lie in order, without gaps. */
  contiguous: boolean;
}

export interface PytorchCheckpoint {
  layout: "zip" | "legacy";
  tensors: ReadonlyMap<string, PytorchTensor>;
  /** Names that its pickle asked for and did not get. */
  refused: readonly string[];
  /** Elements of all tensors; those that share a storage's place count once each. */
  elementCount: number;
}

/** The pickle of a checkpoint with ten thousand tensors has 2 MB. */
const PICKLE_BYTES_MAX = 64 * 1024 * 1024;
/** Begins every file of the old layout, as a pickled number. */
const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_VERSION = 1001;

/** Throws `PickleError` and `ZipError`. `entries` spares reading the archive's table again. */
export function readZipCheckpoint(
  file: ReadAt,
  entries: readonly ZipEntry[] = readZipDirectory(file),
): PytorchCheckpoint {
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  const pickle = entries.find((entry) => /(^|\/)data\.pkl$/.test(entry.name));
  if (pickle === undefined) throw new PickleError("damaged", "the archive has no data.pkl");
  const folder = pickle.name.slice(0, -"data.pkl".length);
  const order = byName.get(`${folder}byteorder`);
  if (order !== undefined && new TextDecoder().decode(readZipEntry(file, order, 64)).trim() === "big") {
    throw new PickleError("unsupported", "the checkpoint's numbers are big-endian");
  }
  const stored = pickle.method === 0;
  if (stored && pickle.packedBytes > PICKLE_BYTES_MAX) throw new PickleError("limit", "data.pkl is over 64 MiB");
  const source = stored
    ? sliceFile(file, locateZipEntry(file, pickle), pickle.packedBytes)
    : bytesAsFile(readZipEntry(file, pickle, PICKLE_BYTES_MAX));
  const { value, refused } = unpickle(new WindowedFile(source), 0, toStorage);
  const places = new Map<string, Place>();
  const locate = (storage: PickleStorage): Place => {
    const known = places.get(storage.key);
    if (known !== undefined) return known;
    const entry = byName.get(`${folder}data/${storage.key}`);
    if (entry === undefined) throw new PickleError("truncated", `the archive has no data/${storage.key.slice(0, 80)}`);
    if (entry.method !== 0)
      throw new PickleError("unsupported", `${entry.name} is compressed, which PyTorch never does`);
    const place = { start: locateZipEntry(file, entry), bytes: entry.packedBytes };
    places.set(storage.key, place);
    return place;
  };
  return describe("zip", value, refused, locate);
}

/** Three small pickles, the checkpoint's, one with the storages' keys, then the storages one behind the other. */
function readLegacyCheckpoint(file: ReadAt): PytorchCheckpoint {
  const view = new WindowedFile(file);
  const magic = unpickle(view, 0, toStorage);
  if (magic.value !== LEGACY_MAGIC) throw new PickleError("unsupported", "a pickle, but not one that PyTorch wrote");
  const version = unpickle(view, magic.end, toStorage);
  if (version.value !== LEGACY_VERSION)
    throw new PickleError("unsupported", "a version of PyTorch's files that is not read");
  const system = unpickle(view, version.end, toStorage);
  const sizes = new Map<string, number>();
  const main = unpickle(view, system.end, (id) => {
    const storage = toStorage(id);
    if (!isKind(storage, "storage")) return storage;
    sizes.set(storage.key, (DTYPE_BYTES.get(storage.dtype ?? "U8") ?? 1) * storage.elements);
    return storage;
  });
  const keys = unpickle(view, main.end, toStorage);
  const places = locateLegacyStorages(file, keys.value, keys.end, sizes);
  return describe("legacy", main.value, main.refused, (storage) => {
    const place = places.get(storage.key);
    if (place === undefined) throw new PickleError("truncated", `the file has no storage ${storage.key.slice(0, 80)}`);
    return place;
  });
}

interface Place {
  start: number;
  bytes: number;
}

function locateLegacyStorages(
  file: ReadAt,
  keys: PickleValue,
  start: number,
  sizes: ReadonlyMap<string, number>,
): Map<string, Place> {
  if (!isKind(keys, "list")) throw new PickleError("damaged", "the file has no list of its storages");
  const places = new Map<string, Place>();
  let at = start;
  for (const key of keys.items) {
    const bytes = typeof key === "string" ? sizes.get(key) : undefined;
    if (typeof key !== "string" || bytes === undefined)
      throw new PickleError("damaged", "a storage that no tensor has");
    if (places.has(key)) throw new PickleError("damaged", "a storage is listed twice");
    // Eight bytes with the count of elements stand before each.
    places.set(key, { start: at + 8, bytes });
    at += 8 + bytes;
  }
  const missing = at - file.sizeBytes;
  if (missing > 0) throw new PickleError("truncated", `${missing} bytes are missing at the file's end`);
  return places;
}

/** ('storage', class, key, location, elements, …), or ('module', class, …) of an object whose class was refused by then. */
function toStorage(id: PickleValue): PickleValue {
  const items = isKind(id, "tuple") ? id.items : [];
  const [tag, type, key, , elements] = items;
  if (tag === "module") return OPAQUE;
  const dtype = isKind(type, "global") ? storageDtype(type.name) : undefined;
  const valid = tag === "storage" && typeof key === "string" && typeof elements === "number" && elements >= 0;
  if (!valid || dtype === undefined || !Number.isSafeInteger(elements * 8)) {
    throw new PickleError("damaged", "the pickle names a storage in a way that PyTorch does not");
  }
  return { kind: "storage", dtype, key, elements };
}

function describe(
  layout: PytorchCheckpoint["layout"],
  root: PickleValue,
  refused: readonly string[],
  locate: (storage: PickleStorage) => Place,
): PytorchCheckpoint {
  const tensors = new Map<string, PytorchTensor>();
  let elementCount = 0;
  for (const [name, tensor] of collectTensors(root)) {
    const { start, bytes } = locate(tensor.storage);
    const itemBytes = DTYPE_BYTES.get(tensor.dtype) ?? 1;
    const extent = countExtent(tensor);
    if ((tensor.offset + extent) * itemBytes > bytes) {
      const claim = `the tensor "${name.slice(0, 80)}" claims ${extent} elements from ${tensor.offset} on`;
      throw new PickleError("damaged", `${claim}, its storage has ${bytes} bytes`);
    }
    const elements = tensor.shape.reduce((product, size) => product * size, 1);
    elementCount += elements;
    tensors.set(name, {
      name,
      dtype: tensor.dtype,
      shape: tensor.shape,
      strides: tensor.strides,
      start: start + tensor.offset * itemBytes,
      contiguous: isContiguous(tensor),
    });
  }
  return { layout, tensors, refused, elementCount };
}

/** Elements from its first to its last one. */
function countExtent({ shape, strides, offset }: PickleTensor): number {
  if (shape.some((size) => size === 0)) return 0;
  const last = shape.reduce((sum, size, index) => sum + (size - 1) * (strides[index] ?? 0), 0);
  const elements = shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger((last + offset + 1) * 8) || !Number.isSafeInteger(elements * 8)) {
    throw new PickleError("limit", "a tensor claims over 2^50 elements");
  }
  return last + 1;
}

function isContiguous({ shape, strides }: PickleTensor): boolean {
  let expected = 1;
  for (let index = shape.length - 1; index >= 0; index--) {
    const size = shape[index] ?? 1;
    if (size !== 1 && strides[index] !== expected) return false;
    expected *= size;
  }
  return true;
}

/** The opcode and the digits of `LEGACY_MAGIC`. */
const LEGACY_MARK = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/** Whether a file's beginning is that of the old layout: the number, behind a protocol and perhaps a frame's length. */
function isLegacyCheckpoint(file: ReadAt): boolean {
  const head = readBytes(file, 0, 32);
  const at = head[2] === 0x95 ? 11 : 2;
  return head[0] === 0x80 && LEGACY_MARK.every((byte, index) => head[at + index] === byte);
}

/** A checkpoint of either layout, or null where the file is neither. */
export function readPytorchCheckpoint(file: ReadAt): PytorchCheckpoint | null {
  const head = readBytes(file, 0, 4);
  if (head[0] === 0x50 && head[1] === 0x4b) return readZipCheckpoint(file);
  return isLegacyCheckpoint(file) ? readLegacyCheckpoint(file) : null;
}

/** True for what the readers here throw about a file, in contrast to a bug. */
export function isCheckpointError(thrown: unknown): thrown is PickleError | ZipError | OutOfFileError {
  return thrown instanceof PickleError || thrown instanceof ZipError || thrown instanceof OutOfFileError;
}

const WRAPPER = "state_dict.";

/** The tensors of the model: trainers keep them beside their own state. */
export function modelTensors({ tensors }: PytorchCheckpoint): readonly PytorchTensor[] {
  const all = [...tensors.values()];
  const wrapped = all.filter(({ name }) => name.startsWith(WRAPPER));
  if (wrapped.length === 0) return all;
  return wrapped.map((tensor) => ({ ...tensor, name: tensor.name.slice(WRAPPER.length) }));
}
