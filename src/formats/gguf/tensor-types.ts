// ggml's tensor types as GGUF numbers them: name, elements per block, bytes per block.
// From `enum ggml_type` (ggml.h), `type_traits` (ggml.c) and the block structs (ggml-common.h).

export interface TensorType {
  name: string;
  blockElements: number;
  blockBytes: number;
}

const entry = (name: string, blockElements: number, blockBytes: number): TensorType => ({
  name,
  blockElements,
  blockBytes,
});

export const TENSOR_TYPES: ReadonlyMap<number, TensorType> = new Map([
  [0, entry("F32", 1, 4)],
  [1, entry("F16", 1, 2)],
  [2, entry("Q4_0", 32, 18)],
  [3, entry("Q4_1", 32, 20)],
  [6, entry("Q5_0", 32, 22)],
  [7, entry("Q5_1", 32, 24)],
  [8, entry("Q8_0", 32, 34)],
  [9, entry("Q8_1", 32, 36)],
  [10, entry("Q2_K", 256, 84)],
  [11, entry("Q3_K", 256, 110)],
  [12, entry("Q4_K", 256, 144)],
  [13, entry("Q5_K", 256, 176)],
  [14, entry("Q6_K", 256, 210)],
  [15, entry("Q8_K", 256, 292)],
  [16, entry("IQ2_XXS", 256, 66)],
  [17, entry("IQ2_XS", 256, 74)],
  [18, entry("IQ3_XXS", 256, 98)],
  [19, entry("IQ1_S", 256, 50)],
  [20, entry("IQ4_NL", 32, 18)],
  [21, entry("IQ3_S", 256, 110)],
  [22, entry("IQ2_S", 256, 82)],
  [23, entry("IQ4_XS", 256, 136)],
  [24, entry("I8", 1, 1)],
  [25, entry("I16", 1, 2)],
  [26, entry("I32", 1, 4)],
  [27, entry("I64", 1, 8)],
  [28, entry("F64", 1, 8)],
  [29, entry("IQ1_M", 256, 56)],
  [30, entry("BF16", 1, 2)],
  [34, entry("TQ1_0", 256, 54)],
  [35, entry("TQ2_0", 256, 66)],
  [39, entry("MXFP4", 32, 17)],
  [40, entry("NVFP4", 64, 36)],
  [41, entry("Q1_0", 128, 18)],
  [42, entry("Q2_0", 64, 18)],
]);

/** Types that llama.cpp has dropped: old files carry them. The value says what to use instead. */
export const REMOVED_TENSOR_TYPES: ReadonlyMap<number, string> = new Map([
  [4, "Q4_2 was removed from llama.cpp; quantise the model again"],
  [5, "Q4_3 was removed from llama.cpp; quantise the model again"],
  [31, "Q4_0_4_4 was removed from llama.cpp; use Q4_0"],
  [32, "Q4_0_4_8 was removed from llama.cpp; use Q4_0"],
  [33, "Q4_0_8_8 was removed from llama.cpp; use Q4_0"],
  [36, "IQ4_NL_4_4 was removed from llama.cpp; use IQ4_NL"],
  [37, "IQ4_NL_4_8 was removed from llama.cpp; use IQ4_NL"],
  [38, "IQ4_NL_8_8 was removed from llama.cpp; use IQ4_NL"],
]);
