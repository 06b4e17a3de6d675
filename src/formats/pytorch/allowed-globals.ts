// The names that a checkpoint's pickle may ask for, and what stands for them here. This list is the whole of it: what is
// not in it is refused by name and never looked up, and what is in it is data, not code.

import {
  isKind,
  OPAQUE,
  PickleError,
  type PickleStorage,
  type PickleTensor,
  type PickleValue,
} from "./pickle-values.ts";

/** Storage classes: the element type that each stands for. */
const STORAGE_DTYPES: ReadonlyMap<string, string | null> = new Map([
  ["DoubleStorage", "F64"],
  ["FloatStorage", "F32"],
  ["HalfStorage", "F16"],
  ["BFloat16Storage", "BF16"],
  ["LongStorage", "I64"],
  ["IntStorage", "I32"],
  ["ShortStorage", "I16"],
  ["CharStorage", "I8"],
  ["ByteStorage", "U8"],
  ["BoolStorage", "BOOL"],
  ["ComplexFloatStorage", "C64"],
  ["UntypedStorage", null],
]);

/** `torch.bfloat16` and so on, which newer rebuild functions are given. */
const DTYPES: ReadonlyMap<string, string> = new Map([
  ["float64", "F64"],
  ["double", "F64"],
  ["float32", "F32"],
  ["float", "F32"],
  ["float16", "F16"],
  ["half", "F16"],
  ["bfloat16", "BF16"],
  ["int64", "I64"],
  ["long", "I64"],
  ["int32", "I32"],
  ["int", "I32"],
  ["int16", "I16"],
  ["int8", "I8"],
  ["uint8", "U8"],
  ["uint16", "U16"],
  ["uint32", "U32"],
  ["uint64", "U64"],
  ["bool", "BOOL"],
  ["complex64", "C64"],
  ["float8_e4m3fn", "F8_E4M3"],
  ["float8_e5m2", "F8_E5M2"],
]);

export const DTYPE_BYTES: ReadonlyMap<string, number> = new Map([
  ["F64", 8],
  ["I64", 8],
  ["U64", 8],
  ["C64", 8],
  ["F32", 4],
  ["I32", 4],
  ["U32", 4],
  ["F16", 2],
  ["BF16", 2],
  ["I16", 2],
  ["U16", 2],
  ["I8", 1],
  ["U8", 1],
  ["BOOL", 1],
  ["F8_E4M3", 1],
  ["F8_E5M2", 1],
]);

type Rebuild = (args: readonly PickleValue[]) => PickleValue;

/** What an allowed name makes of its arguments. */
const CALLS: ReadonlyMap<string, Rebuild> = new Map<string, Rebuild>([
  ["torch._utils._rebuild_tensor", rebuildTensor],
  ["torch._utils._rebuild_tensor_v2", rebuildTensor],
  ["torch._utils._rebuild_tensor_v3", rebuildTypedTensor],
  ["torch._utils._rebuild_parameter", ([data]) => data ?? OPAQUE],
  ["torch._utils._rebuild_parameter_with_state", ([data]) => data ?? OPAQUE],
  ["torch.nn.parameter.Parameter", ([data]) => data ?? OPAQUE],
  ["torch.Size", ([sizes]) => sizes ?? OPAQUE],
  ["torch.device", () => OPAQUE],
  ["collections.OrderedDict", makeDict],
  ["collections.defaultdict", () => ({ kind: "dict", entries: [] })],
  ["builtins.set", () => ({ kind: "set", items: [] })],
  ["builtins.dict", makeDict],
  ["__builtin__.set", () => ({ kind: "set", items: [] })],
  // Python 2 wrote bytes as text and its encoding.
  ["_codecs.encode", ([text]) => ({ kind: "bytes", bytes: typeof text === "string" ? text.length : 0 })],
]);

/** True for a name that may be asked for. */
export function isAllowedGlobal(name: string): boolean {
  return CALLS.has(name) || storageDtype(name) !== undefined || dtypeOf(name) !== null;
}

/** Undefined: no storage class. */
export function storageDtype(name: string): string | null | undefined {
  const match = /^torch(?:\.cuda|\.storage)?\.(\w+Storage)$/.exec(name);
  const found = match === null ? undefined : STORAGE_DTYPES.get(match[1] ?? "");
  return found;
}

function dtypeOf(name: string): string | null {
  return name.startsWith("torch.") ? (DTYPES.get(name.slice("torch.".length)) ?? null) : null;
}

/** The result of calling an allowed name. Throws `PickleError` where the arguments are not those that PyTorch writes. */
export function rebuild(name: string, args: readonly PickleValue[]): PickleValue {
  const call = CALLS.get(name);
  if (call === undefined) throw new PickleError("damaged", `the pickle calls ${name}, which makes nothing`);
  return call(args);
}

/** (storage, offset, shape, strides, …) */
function rebuildTensor(args: readonly PickleValue[]): PickleTensor {
  const storage = args[0];
  if (!isKind(storage, "storage") || storage.dtype === null) {
    throw new PickleError("damaged", "a tensor without a typed storage");
  }
  return makeTensor(storage, storage.dtype, args);
}

/** (storage, offset, shape, strides, requires_grad, hooks, dtype, …) */
function rebuildTypedTensor(args: readonly PickleValue[]): PickleTensor {
  const [storage, , , , , , type] = args;
  const dtype = isKind(type, "global") ? dtypeOf(type.name) : null;
  if (!isKind(storage, "storage") || dtype === null) {
    throw new PickleError("damaged", "a tensor without a storage or an element type");
  }
  return makeTensor(storage, dtype, args);
}

function makeTensor(storage: PickleStorage, dtype: string, args: readonly PickleValue[]): PickleTensor {
  const [, offset, shape, strides] = args;
  const shapeSizes = toSizes(shape);
  const strideSizes = toSizes(strides);
  if (!isSize(offset) || shapeSizes === null || strideSizes === null || shapeSizes.length !== strideSizes.length) {
    throw new PickleError("damaged", "a tensor whose offset, shape or strides are no whole numbers");
  }
  return { kind: "tensor", storage, dtype, offset, shape: shapeSizes, strides: strideSizes };
}

/** Frameworks go to eight dimensions or so. */
const DIMS_MAX = 32;

function toSizes(value: PickleValue | undefined): number[] | null {
  if (!isKind(value, "tuple") && !isKind(value, "list")) return null;
  if (value.items.length > DIMS_MAX) return null;
  const sizes = value.items.filter(isSize);
  return sizes.length === value.items.length ? sizes : null;
}

function isSize(value: PickleValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** Each list once: a pickle may hand over the same one any number of times. */
const dictsOfLists = new WeakMap<object, PickleValue>();

/** A dictionary from pairs, as ordered dictionaries were once pickled. */
function makeDict([pairs]: readonly PickleValue[]): PickleValue {
  if (!isKind(pairs, "list")) return { kind: "dict", entries: [] };
  const known = dictsOfLists.get(pairs);
  if (known !== undefined) return known;
  const entries: [PickleValue, PickleValue][] = [];
  for (const pair of pairs.items) {
    if ((isKind(pair, "tuple") || isKind(pair, "list")) && pair.items.length === 2) {
      entries.push([pair.items[0] ?? null, pair.items[1] ?? null]);
    }
  }
  const dict: PickleValue = { kind: "dict", entries };
  dictsOfLists.set(pairs, dict);
  return dict;
}
