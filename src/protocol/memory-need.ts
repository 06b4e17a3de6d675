// The memory that an engine takes, by the place where it lies and by what it is for. A leaf: types, and what they may hold. The formula and
// llama.cpp's own measure (a job) give the same shape, so either can be put beside what a running engine really uses.

/** ggml's names of the types that a KV cache may have. */
export const KV_TYPES = ["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"] as const;
export type KvType = (typeof KV_TYPES)[number];

/** llama.cpp's limits (llama_max_devices, LLAMA_MAX_LAYERS). */
export const DEVICES_MAX = 16;
export const LAYERS_MAX = 512;

/** Any weights, made to sum up to 1; empty where all are 0: then it is as if none were given. */
export function toShares(weights: readonly number[]): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return total > 0 ? weights.map((weight) => weight / total) : [];
}

/** All that a plan may choose and that changes what an engine takes. Nothing is automatic here. */
export interface LoadSettings {
  /** KV tokens of the engine. */
  contextLength: number;
  /** Sequences that decode at once. */
  parallel: number;
  /** Ended sequences whose state stays in memory. */
  retainedMax: number;
  batchSize: number;
  microBatchSize: number;
  threads: number;
  kvType: KvType;
  /** Layers on devices, counted from the last: the output layer is one more than the model's layers. */
  gpuLayers: number;
  /** Of the layers on devices, how each device shares them, in the order of the devices; sums up to 1. */
  deviceShares: number[];
  /** Of a mixture of experts: the first so many layers keep their experts in host memory. */
  hostExpertLayers: number;
}

export interface MemoryParts {
  /** In memory of the process's own: on a device, or converted for it. */
  weightsBytes: number;
  /** Mapped from the file: the system may drop and read them again. Of the host only. */
  mappedBytes: number;
  kvBytes: number;
  computeBytes: number;
  /** Output rows, vocabulary, samplers, the runtime itself, a device's context. */
  overheadBytes: number;
}

/** What llama.cpp itself says of a load, made without its weights. */
export interface MeasuredNeed {
  /** Once it is loaded, and its steps are as large as they can be. */
  need: MemoryNeed;
  /** Of the host's `weightsBytes`: copies in the order that the processor's kernels want. */
  repackedBytes: number;
  /** What the first embedding adds, in a context of its own; null: this model has no other one, or makes none. */
  embedding: MemoryNeed | null;
}

export interface MemoryNeed {
  host: MemoryParts;
  /** In the order of `deviceShares`. */
  devices: MemoryParts[];
}

export function noParts(): MemoryParts {
  return { weightsBytes: 0, mappedBytes: 0, kvBytes: 0, computeBytes: 0, overheadBytes: 0 };
}

export function addParts(a: MemoryParts, b: MemoryParts): MemoryParts {
  return {
    weightsBytes: a.weightsBytes + b.weightsBytes,
    mappedBytes: a.mappedBytes + b.mappedBytes,
    kvBytes: a.kvBytes + b.kvBytes,
    computeBytes: a.computeBytes + b.computeBytes,
    overheadBytes: a.overheadBytes + b.overheadBytes,
  };
}

/** Of two contexts of one engine. */
export function addNeeds(a: MemoryNeed, b: MemoryNeed): MemoryNeed {
  const devices = a.devices.map((parts, at) => addParts(parts, b.devices[at] ?? noParts()));
  return { host: addParts(a.host, b.host), devices };
}
