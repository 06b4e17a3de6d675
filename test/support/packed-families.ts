// Tiny models of families with definitions of their own whose weights are packed, or whose experts are stacked.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Packer } from "./packed-numbers.ts";
import { packScaled } from "./packed-weights.ts";
import { type TensorToWrite, writeSafetensors } from "./safetensors-writer.ts";
import { encode, type NamedTensor } from "./tiny-decoders.ts";
import { makeDeepseek } from "./tiny-deepseek.ts";
import { type TinyFamily, writeFamilyFolder } from "./tiny-families.ts";
import { DEEPSEEK3 } from "./tiny-family-models.ts";

/** DeepSeek's own: blocks of a size that does not divide the tiny model's rows. */
const BLOCK = 48;
const inBlocks: Packer = packScaled({
  type: "F8_E4M3",
  scaleName: "weight_scale_inv",
  scaleType: "F32",
  scaleShape: (rows, columns) => [Math.ceil(rows / BLOCK), Math.ceil(columns / BLOCK)],
  scaleAt: (row, column, columns) => Math.floor(row / BLOCK) * Math.ceil(columns / BLOCK) + Math.floor(column / BLOCK),
});

export interface PackedFamily {
  /** With the numbers that the packed weights stand for. */
  family: TinyFamily;
  stored: TensorToWrite[];
}

/** DeepSeek V3 as it was published: all matrices but the ends and the routers in FP8. */
export function makePackedDeepseek(): PackedFamily {
  const family = makeDeepseek(DEEPSEEK3);
  const stored: TensorToWrite[] = [];
  for (const [name, { shape, values }] of family.tensors) {
    const [rows = 0, columns = 0] = shape;
    const isPacked = shape.length === 2 && !/embed_tokens|lm_head|mlp\.gate\.|shared_head|eh_proj/.test(name);
    const packed = isPacked ? inBlocks(name.replace(/\.weight$/, ""), rows, columns) : null;
    if (packed !== null) values.set(packed.values);
    stored.push(...(packed?.tensors ?? [{ name, shape, dtype: "F32", data: encode("F32", values) }]));
  }
  const quantization_config = { quant_method: "fp8", fmt: "e4m3", weight_block_size: [BLOCK, BLOCK] };
  return { family: { ...family, config: { ...family.config, quantization_config } }, stored };
}

export function writePackedFamily(
  folder: string,
  { family, stored }: PackedFamily,
  files: Record<string, unknown>,
): void {
  mkdirSync(folder, { recursive: true });
  writeFamilyFolder(folder, { ...family, parts: 1 }, files);
  writeFileSync(join(folder, "model.safetensors"), writeSafetensors(stored));
}

/** As newer versions of transformers keep experts: two stacks a layer, gates and ups in one. */
export function stackExperts(tensors: ReadonlyMap<string, NamedTensor>): Map<string, NamedTensor> {
  const stacked = new Map<string, NamedTensor>();
  const join = (name: string, parts: readonly NamedTensor[], together: number): void => {
    const [rows = 0, columns = 0] = parts[0]?.shape ?? [];
    const values = new Float32Array(parts.length * rows * columns);
    for (const [index, part] of parts.entries()) values.set(part.values, index * rows * columns);
    stacked.set(name, { shape: [parts.length / together, rows * together, columns], values });
  };
  for (const [name, tensor] of tensors) {
    const [, path] = /^(.*\.experts)\.\d+\./.exec(name) ?? [];
    if (path === undefined) stacked.set(name, tensor);
    if (path === undefined || stacked.has(`${path}.down_proj`)) continue;
    const count = [...tensors.keys()].filter((other) => other.startsWith(path) && other.includes(".down_proj.")).length;
    const of = (kind: string, expert: number) => tensors.get(`${path}.${expert}.${kind}.weight`) as NamedTensor;
    const each = (kinds: readonly string[]) =>
      Array.from({ length: count }, (_, expert) => kinds.map((kind) => of(kind, expert))).flat();
    join(`${path}.gate_up_proj`, each(["gate_proj", "up_proj"]), 2);
    join(`${path}.down_proj`, each(["down_proj"]), 1);
  }
  return stacked;
}
