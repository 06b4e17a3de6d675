// What a pickle's values are here: plain data, and the few kinds of things that a checkpoint is made of. Nothing in them can
// be called.

export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleBytes
  | PickleList
  | PickleDict
  | PickleGlobal
  | PickleStorage
  | PickleTensor
  | PickleOpaque;

/** Bytes that no checkpoint's tensors need: only their length is kept. */
export interface PickleBytes {
  kind: "bytes";
  bytes: number;
}

interface PickleSequence<K extends string> {
  kind: K;
  items: PickleValue[];
}

export type PickleList = PickleSequence<"list"> | PickleSequence<"tuple"> | PickleSequence<"set">;

export interface PickleDict {
  kind: "dict";
  entries: [key: PickleValue, value: PickleValue][];
}

/** A name that the pickle asks for. It is never looked up anywhere. */
export interface PickleGlobal {
  kind: "global";
  name: string;
}

export interface PickleStorage {
  kind: "storage";
  /** In SafeTensors' words, such as `BF16`; null where each tensor says it. */
  dtype: string | null;
  key: string;
  /** As the pickle claims, in elements of `dtype`, or bytes where that is null. */
  elements: number;
}

export interface PickleTensor {
  kind: "tensor";
  storage: PickleStorage;
  dtype: string;
  /** In elements, from the storage's start. */
  offset: number;
  shape: readonly number[];
  strides: readonly number[];
}

/** What a refused name would have made, or what is of no use for reading tensors. */
export interface PickleOpaque {
  kind: "opaque";
}

export const OPAQUE: PickleOpaque = { kind: "opaque" };

/**
 * `damaged`: contradicts itself. `truncated`: ends too early. `limit`: sizes that no checkpoint has. `unsupported`: an
 * opcode that no checkpoint is written with.
 */
export type PickleReason = "damaged" | "truncated" | "limit" | "unsupported";

export class PickleError extends Error {
  readonly reason: PickleReason;

  constructor(reason: PickleReason, message: string) {
    super(message);
    this.name = "PickleError";
    this.reason = reason;
  }
}

export function isKind<K extends Exclude<PickleValue, null | boolean | number | bigint | string>["kind"]>(
  value: PickleValue | undefined,
  kind: K,
): value is Extract<PickleValue, { kind: K }> {
  return typeof value === "object" && value !== null && value.kind === kind;
}
