// How the weights of a list of tensors are kept: plain numbers, or one of the ways of quantising that packages of the
// Hugging Face world write, told by the names and types that only they use. Counts parameters, not packed words.

export interface WeightTensor {
  name: string;
  dtype: string;
  shape: readonly number[];
}

export interface WeightsKind {
  /** In lower case, as config.json calls it: `gptq`, `awq`, `mlx`, `fp8`, …; null: plain numbers. */
  method: string | null;
  /** The type that most bytes have, such as `BF16`. */
  dtype: string | null;
  dtypes: ReadonlySet<string>;
  /** Parameters of the model; those that were packed count as such, given how many bits each has. */
  count: (bits: number | null) => number | null;
}

/** Scales, zero points and orders: what stands beside packed weights and is no parameter. */
const COMPANION =
  /(\.(scales|biases|qzeros|g_idx|weight_scale|weight_scale_inv|weight_scale_2|input_scale|weight_shape|weight_zero_point|weight_global_scale|input_global_scale|absmax|nested_absmax|quant_map|nested_quant_map|SCB|weight_format|k_scale|v_scale|q_invperm|q_scale|q_scale_max|q_groups)|_blocks_scales)$|\.quant_state\./;

const METHODS: readonly {
  method: string;
  tells: (names: ReadonlySet<string>, dtypes: ReadonlyMap<string, string>) => boolean;
}[] = [
  { method: "bitsandbytes", tells: (names) => some(names, /\.quant_state\.bitsandbytes|\.SCB$|\.absmax$/) },
  { method: "exl2", tells: (names) => some(names, /\.q_invperm$/) },
  { method: "mxfp4", tells: (names) => some(names, /_blocks$/) && some(names, /_scales$/) },
  { method: "nvfp4", tells: (names) => some(names, /\.weight_scale_2$|\.weight_global_scale$/) },
  { method: "compressed-tensors", tells: (names) => some(names, /\.weight_packed$/) },
  { method: "gptq", tells: (names) => some(names, /\.qweight$/) && some(names, /\.g_idx$/) },
  { method: "awq", tells: (names) => some(names, /\.qweight$/) },
  { method: "mlx", tells: (names, dtypes) => [...names].some((name) => isMlxWeight(name, names, dtypes)) },
  {
    method: "fp8",
    tells: (_names, dtypes) =>
      [...dtypes.values()].some((dtype) => dtype.startsWith("F8_E4M3") || dtype.startsWith("F8_E5M2")),
  },
  {
    method: "int8",
    tells: (names, dtypes) => [...names].some((name) => dtypes.get(name) === "I8" && names.has(`${name}_scale`)),
  },
];

function some(names: ReadonlySet<string>, pattern: RegExp): boolean {
  for (const name of names) if (pattern.test(name)) return true;
  return false;
}

function isMlxWeight(name: string, names: ReadonlySet<string>, dtypes: ReadonlyMap<string, string>): boolean {
  return dtypes.get(name) === "U32" && name.endsWith(".weight") && names.has(name.replace(/weight$/, "scales"));
}

/** `bytesOf` is what a tensor takes in its file. */
export function judgeWeights(tensors: Iterable<WeightTensor & { bytes: number }>): WeightsKind {
  const dtypes = new Map<string, string>();
  const bytesByDtype = new Map<string, number>();
  const list: WeightTensor[] = [];
  for (const tensor of tensors) {
    list.push(tensor);
    dtypes.set(tensor.name, tensor.dtype);
    bytesByDtype.set(tensor.dtype, (bytesByDtype.get(tensor.dtype) ?? 0) + tensor.bytes);
  }
  const names = new Set(dtypes.keys());
  const method = METHODS.find(({ tells }) => tells(names, dtypes))?.method ?? null;
  const [most] = [...bytesByDtype].sort((a, b) => b[1] - a[1]);
  return {
    method,
    dtype: most?.[0] ?? null,
    dtypes: new Set(bytesByDtype.keys()),
    count: (bits) => countParameters(list, method, bits),
  };
}

function countParameters(tensors: readonly WeightTensor[], method: string | null, bits: number | null): number | null {
  let count = 0;
  for (const { name, dtype, shape } of tensors) {
    if (method !== null && (COMPANION.test(name) || (method === "mxfp4" && name.endsWith("_scales")))) continue;
    const elements = shape.reduce((product, size) => product * size, 1);
    const perWord = method === null ? 1 : parametersPerWord(name, dtype, method, bits);
    if (perWord === null) return null;
    count += elements * perWord;
  }
  return Number.isSafeInteger(count) && count > 0 ? count : null;
}

/** How many parameters one element holds; null: unknown. */
function parametersPerWord(name: string, dtype: string, method: string, bits: number | null): number | null {
  const packed = /\.(qweight|weight_packed|q_weight)$|_blocks$/.test(name) || (dtype === "U32" && method === "mlx");
  const halfBytes = dtype === "U8" && (method === "bitsandbytes" || method === "nvfp4") && name.endsWith(".weight");
  if (halfBytes) return 2;
  if (!packed) return 1;
  if (dtype === "U8") return 2;
  return bits === null || bits > 32 ? null : 32 / bits;
}
