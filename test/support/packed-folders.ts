// Tiny models whose weights are packed, as folders, and the same folders with the numbers that the packed weights stand for.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Packer } from "./packed-numbers.ts";
import { packGrouped, packNf4, packNvfp4, packScaled, type ScaledOptions } from "./packed-weights.ts";
import { packAwq, packAwqRows, packGptq, packMlx } from "./packed-words.ts";
import { type TensorToWrite, writeSafetensors } from "./safetensors-writer.ts";
import { encode, makeTensors, TINY, type TinyDecoder } from "./tiny-decoders.ts";
import { writeFolderOnly } from "./torch-folders.ts";

/** Groups of 128 fill its rows, and 300 tokens fill no block. */
export const PACKABLE: TinyDecoder = { ...TINY, dtype: "F16", width: 128, inner: 256, headLength: 32 };

export interface PackedModel {
  pack: Packer;
  /** Added to config.json. */
  config: Record<string, unknown>;
  /** Of layers that are packed in a way of their own. */
  own?: { pattern: RegExp; pack: Packer };
  /** Embeddings and the output are packed as well. */
  packsEnds?: boolean;
}

/** Null: it stays plain. */
function packerOf({ pack, own, packsEnds = false }: PackedModel, path: string): Packer | null {
  if (own?.pattern.test(path) === true) return own.pack;
  return packsEnds || !/embed_tokens|lm_head/.test(path) ? pack : null;
}

/** Returns the weights that the packed ones stand for. */
export function writePackedFolder(folder: string, model: PackedModel, of: TinyDecoder = PACKABLE): TensorToWrite[] {
  const stored: TensorToWrite[] = [];
  const meant: TensorToWrite[] = [];
  for (const [name, { shape, values }] of makeTensors(of)) {
    const path = name.replace(/\.weight$/, "");
    const [rows = 0, columns = 0] = shape;
    const packer = shape.length === 2 ? packerOf(model, path) : null;
    const result = packer?.(path, rows, columns);
    const whole = { name, shape, dtype: of.dtype, data: encode(of.dtype, values) };
    stored.push(...(result?.tensors ?? [whole]));
    meant.push({ name, shape, dtype: "F32", data: encode("F32", result?.values ?? values) });
  }
  writeFolderOnly(folder, of, model.config);
  writeFileSync(join(folder, "model.safetensors"), writeSafetensors(stored));
  return meant;
}

/** The second folder has the weights that the first one stands for, as F32. */
export function writePackedFolders(packed: string, plain: string, model: PackedModel): void {
  const meant = writePackedFolder(packed, model);
  writeFolderOnly(plain, PACKABLE);
  writeFileSync(join(plain, "model.safetensors"), writeSafetensors(meant));
}

const gptq = (bits: number, version: 1 | 2, isActOrdered: boolean): PackedModel => ({
  pack: packGptq({ bits, group: 32, version, isActOrdered }),
  config: {
    quantization_config: {
      quant_method: "gptq",
      bits,
      group_size: 32,
      desc_act: isActOrdered,
      ...(version === 2 ? { checkpoint_format: "gptq_v2" } : {}),
    },
  },
});

const mlx = (bits: number, group: number, dtype: "F16" | "BF16"): PackedModel => ({
  pack: packMlx(bits, group, dtype),
  packsEnds: true,
  config: { quantization: { bits, group_size: group }, quantization_config: { bits, group_size: group } },
});

const ROWS: Pick<ScaledOptions, "scaleShape" | "scaleAt"> = { scaleShape: (rows) => [rows, 1], scaleAt: (row) => row };
const ONE: Pick<ScaledOptions, "scaleShape" | "scaleAt"> = { scaleShape: () => [], scaleAt: () => 0 };
const inBlocks = (height: number, width: number): Pick<ScaledOptions, "scaleShape" | "scaleAt"> => ({
  scaleShape: (rows, columns) => [Math.ceil(rows / height), Math.ceil(columns / width)],
  scaleAt: (row, column, columns) => Math.floor(row / height) * Math.ceil(columns / width) + Math.floor(column / width),
});
const FP8 = { type: "F8_E4M3", scaleName: "weight_scale", scaleType: "BF16" } as const;

const compressed = (format: string, weights: Record<string, unknown>): Record<string, unknown> => ({
  quantization_config: {
    quant_method: "compressed-tensors",
    format,
    config_groups: { group_0: { targets: ["Linear"], weights } },
    ignore: ["lm_head"],
  },
});

const grouped = (bits: number, group: number | null, hasZeros: boolean, isOrdered: boolean): PackedModel => ({
  pack: packGrouped({ bits, group, hasZeros, isOrdered }),
  config: compressed("pack-quantized", {
    num_bits: bits,
    type: "int",
    strategy: group === null ? "channel" : "group",
    group_size: group,
    symmetric: !hasZeros,
  }),
});

const fp8Block = (height: number, width: number): PackedModel => ({
  pack: packScaled({ ...FP8, ...inBlocks(height, width), scaleName: "weight_scale_inv", scaleType: "F32" }),
  config: { quantization_config: { quant_method: "fp8", fmt: "e4m3", weight_block_size: [height, width] } },
});

/** By names that are good as folder names. */
export const PACKED_MODELS: Readonly<Record<string, PackedModel>> = {
  "gptq-2": gptq(2, 1, false),
  "gptq-3": gptq(3, 1, false),
  "gptq-4": gptq(4, 1, false),
  "gptq-4-act-order": gptq(4, 1, true),
  "gptq-8-act-order": gptq(8, 1, true),
  "gptq-v2-4": gptq(4, 2, false),
  "gptq-v2-8": gptq(8, 2, true),
  awq: {
    pack: packAwq(64),
    config: {
      quantization_config: { quant_method: "awq", bits: 4, group_size: 64, version: "gemm", zero_point: true },
    },
  },
  "awq-gemv": {
    pack: packAwqRows(32),
    config: { quantization_config: { quant_method: "awq", bits: 4, group_size: 32, version: "gemv" } },
  },
  "auto-round-gptq": {
    pack: packGptq({ bits: 4, group: 32, version: 1, isActOrdered: false }),
    own: {
      pattern: /layers\.1\.mlp\.down_proj$/,
      pack: packGptq({ bits: 8, group: 32, version: 1, isActOrdered: false }),
    },
    config: {
      quantization_config: {
        quant_method: "auto-round",
        packing_format: "auto_round:auto_gptq",
        bits: 4,
        group_size: 32,
        extra_config: { "model.layers.1.mlp.down_proj": { bits: 8 } },
      },
    },
  },
  "auto-round-awq": {
    pack: packAwq(64),
    config: {
      quantization_config: {
        quant_method: "auto-round",
        packing_format: "auto_round:auto_awq",
        bits: 4,
        group_size: 64,
      },
    },
  },
  "mlx-2": mlx(2, 64, "F16"),
  "mlx-3": mlx(3, 32, "BF16"),
  "mlx-4": mlx(4, 64, "BF16"),
  "mlx-4-of-128": mlx(4, 128, "F16"),
  "mlx-5": mlx(5, 32, "F16"),
  "mlx-6": mlx(6, 64, "BF16"),
  "mlx-8": mlx(8, 64, "BF16"),
  "mlx-mixed": {
    pack: packMlx(4, 64),
    own: { pattern: /layers\.1\.mlp\.down_proj$/, pack: packMlx(6, 32) },
    packsEnds: true,
    config: {
      quantization: {
        bits: 4,
        group_size: 64,
        mode: "affine",
        "model.layers.1.mlp.down_proj": { bits: 6, group_size: 32 },
        "model.norm": false,
      },
    },
  },
  "fp8-block": fp8Block(128, 128),
  "fp8-ragged-block": fp8Block(48, 80),
  "fp8-tensor": {
    pack: packScaled({ ...FP8, ...ONE, type: "F8_E5M2" }),
    config: { quantization_config: { quant_method: "fp8", activation_scheme: "static" } },
  },
  "fp8-modelopt": {
    pack: packScaled({ ...FP8, ...ONE, scaleType: "F32" }),
    config: { quantization_config: { quant_method: "modelopt", quant_algo: "FP8" } },
  },
  "fp8-rows": {
    pack: packScaled({ ...FP8, ...ROWS }),
    config: compressed("float-quantized", { num_bits: 8, type: "float", strategy: "channel" }),
  },
  "fp8-compressed-block": {
    pack: packScaled({ ...FP8, ...inBlocks(64, 64) }),
    config: compressed("float-quantized", { num_bits: 8, type: "float", strategy: "block", block_structure: "64x64" }),
  },
  "int8-rows": {
    pack: packScaled({ ...FP8, ...ROWS, type: "I8" }),
    config: compressed("int-quantized", { num_bits: 8, type: "int", strategy: "channel" }),
  },
  "int8-rows-with-zeros": {
    pack: packScaled({ ...FP8, ...ROWS, type: "I8", hasZeros: true }),
    config: compressed("int-quantized", { num_bits: 8, type: "int", strategy: "channel", symmetric: false }),
  },
  "packed-4": grouped(4, 32, false, false),
  "packed-4-zeros": grouped(4, 32, true, false),
  "packed-4-order": grouped(4, 64, true, true),
  "packed-8": grouped(8, 128, false, false),
  "packed-8-rows": grouped(8, null, false, false),
  "packed-3": grouped(3, 32, true, false),
  "nvfp4-modelopt": {
    pack: packNvfp4(false),
    config: { quantization_config: { quant_method: "modelopt", quant_algo: "NVFP4" } },
  },
  "nvfp4-compressed": {
    pack: packNvfp4(true),
    config: compressed("nvfp4-pack-quantized", { num_bits: 4, type: "float", strategy: "tensor_group" }),
  },
  "bitsandbytes-nf4": {
    pack: packNf4(false),
    config: { quantization_config: { quant_method: "bitsandbytes", load_in_4bit: true } },
  },
  "bitsandbytes-nf4-nested": {
    pack: packNf4(true),
    config: { quantization_config: { quant_method: "bitsandbytes", load_in_4bit: true } },
  },
  "bitsandbytes-int8": {
    pack: packScaled({
      type: "I8",
      scaleName: "SCB",
      scaleType: "F32",
      scaleShape: (rows) => [rows],
      scaleAt: (row) => row,
      factor: 127,
    }),
    config: { quantization_config: { quant_method: "bitsandbytes", load_in_8bit: true } },
  },
};
