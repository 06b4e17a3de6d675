// Pickles as PyTorch writes them, opcode by opcode, and whole checkpoints around them in both layouts.

import { writeZip } from "./zip-writer.ts";

type Piece = Uint8Array;

const bytes = (...values: number[]): Piece => Uint8Array.from(values);
const latin = (text: string): Piece => new Uint8Array(Buffer.from(text, "latin1"));
const join = (...pieces: readonly Piece[]): Piece => new Uint8Array(Buffer.concat(pieces));

function u32(value: number): Piece {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value, true);
  return out;
}

export const pickle = (...pieces: readonly Piece[]): Piece => join(bytes(0x80, 2), ...pieces, latin("."));
export const text = (value: string): Piece => {
  const encoded = new TextEncoder().encode(value);
  return join(latin("X"), u32(encoded.byteLength), encoded);
};
export const int = (value: number): Piece => join(latin("J"), u32(value));
export const globalName = (module: string, name: string): Piece => latin(`c${module}\n${name}\n`);
export const tuple = (...items: readonly Piece[]): Piece => join(latin("("), ...items, latin("t"));
export const list = (...items: readonly Piece[]): Piece => join(latin("]("), ...items, latin("e"));
export const call = (callee: Piece, ...args: readonly Piece[]): Piece => join(callee, tuple(...args), latin("R"));
export const dict = (entries: readonly (readonly [string, Piece])[]): Piece =>
  join(latin("}("), ...entries.flatMap(([key, value]) => [text(key), value]), latin("u"));
export const raw = (...values: (number | string)[]): Piece =>
  join(...values.map((value) => (typeof value === "number" ? bytes(value) : latin(value))));

export interface TensorToPickle {
  name: string;
  shape: readonly number[];
  storageClass?: string;
  key: string;
  elements?: number;
  offset?: number;
  strides?: readonly number[];
}

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

function rowStrides(shape: readonly number[]): number[] {
  return shape.map((_, index) => product(shape.slice(index + 1)));
}

export function storageId(tensor: TensorToPickle): Piece {
  const elements = tensor.elements ?? product(tensor.shape);
  return tuple(
    text("storage"),
    globalName("torch", tensor.storageClass ?? "FloatStorage"),
    text(tensor.key),
    text("cpu"),
    int(elements),
  );
}

export function tensorPiece(tensor: TensorToPickle): Piece {
  const strides = tensor.strides ?? rowStrides(tensor.shape);
  return call(
    globalName("torch._utils", "_rebuild_tensor_v2"),
    join(storageId(tensor), latin("Q")),
    int(tensor.offset ?? 0),
    tuple(...tensor.shape.map(int)),
    tuple(...strides.map(int)),
    bytes(0x89),
    call(globalName("collections", "OrderedDict")),
  );
}

/** The pickle of a plain state dictionary. */
export function stateDict(
  tensors: readonly TensorToPickle[],
  extra: readonly (readonly [string, Piece])[] = [],
): Piece {
  return pickle(dict([...tensors.map((tensor) => [tensor.name, tensorPiece(tensor)] as const), ...extra]));
}

/** The archive that `torch.save` writes. A storage is its bytes, or so many zeros. */
export function zipCheckpoint(
  pickled: Piece,
  storages: Readonly<Record<string, number | Uint8Array>>,
  extra: readonly { name: string; data: Uint8Array }[] = [],
): Uint8Array {
  return writeZip([
    { name: "archive/data.pkl", data: pickled },
    { name: "archive/byteorder", data: latin("little") },
    ...Object.entries(storages).map(([key, size]) => ({
      name: `archive/data/${key}`,
      data: typeof size === "number" ? new Uint8Array(size) : size,
    })),
    { name: "archive/version", data: latin("3\n") },
    ...extra,
  ]);
}

/** The layout that `torch.save` wrote before version 1.6. `framed`: as by protocol 4, which begins with a frame. */
export function legacyCheckpoint(
  pickled: Piece,
  storages: readonly { key: string; elements: number; bytes: number | Uint8Array }[],
  framed = false,
): Uint8Array {
  const mark = bytes(0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19);
  const magic = framed ? join(bytes(0x80, 4, 0x95, 13, 0, 0, 0, 0, 0, 0, 0), mark, latin(".")) : pickle(mark);
  const system = pickle(
    dict([
      ["protocol_version", int(1001)],
      ["little_endian", bytes(0x88)],
    ]),
  );
  const data = storages.flatMap(({ elements, bytes: size }) => [
    u32(elements),
    u32(0),
    typeof size === "number" ? new Uint8Array(size) : size,
  ]);
  return join(
    magic,
    pickle(int(1001)),
    system,
    pickled,
    pickle(list(...storages.map(({ key }) => text(key)))),
    ...data,
  );
}
