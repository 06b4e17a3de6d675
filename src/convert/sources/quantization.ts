// Which way a model's weights were packed, as its configuration says it, and the source that unpacks them. Ways that are not
// unpacked are refused by name. What the configuration says and the tensors are not is of no consequence: plain ones stay.

import { AppError } from "../../protocol/errors.ts";
import { type Fields, readJsonFile } from "../json-file.ts";
import type { WeightSource } from "../weights.ts";
import { planAwq } from "./awq.ts";
import { planBitsandbytes } from "./bitsandbytes.ts";
import { planGptq } from "./gptq.ts";
import { planMlx } from "./mlx.ts";
import { planNvfp4 } from "./nvfp4.ts";
import { planPackQuantized } from "./pack-quantized.ts";
import { planScaled, readBlock } from "./scaled.ts";
import { StackedExperts } from "./stacked-experts.ts";
import { StoredValues } from "./stored-values.ts";
import { UnpackedWeights, type Unpacking } from "./unpacked.ts";

/** The same source where its weights are plain numbers. Throws AppError. */
export function unpackWeights(source: WeightSource, folder: string, config: Fields): WeightSource {
  const method = findMethod(folder, config);
  const plain = method === null ? source : new UnpackedWeights(source, plan(source, method));
  return config.list("architectures")[0] === "GptOssForCausalLM" ? plain : StackedExperts.split(plain);
}

interface Method {
  /** In lower case. */
  name: string;
  settings: Fields;
}

function findMethod(folder: string, config: Fields): Method | null {
  const settings = config.object("quantization_config");
  const name = settings?.text("quant_method")?.toLowerCase() ?? null;
  if (settings !== null && name !== null) return { name, settings };
  // MLX writes its settings twice, once by another program's name.
  const mlx = config.object("quantization") ?? settings;
  if (mlx !== null && mlx.value("group_size") !== null) return { name: "mlx", settings: mlx };
  if (mlx !== null) return { name: "of an unknown kind", settings: mlx };
  return findBeside(folder);
}

/** Tools that keep it out of config.json. */
function findBeside(folder: string): Method | null {
  const gptq = readJsonFile(folder, "quantize_config.json");
  if (gptq !== null) return { name: "gptq", settings: gptq };
  const awq = readJsonFile(folder, "quant_config.json");
  if (awq !== null) return { name: "awq", settings: awq };
  const modelopt = readJsonFile(folder, "hf_quant_config.json")?.object("quantization") ?? null;
  return modelopt === null ? null : { name: "modelopt", settings: modelopt };
}

function plan(source: WeightSource, { name, settings }: Method): Unpacking {
  const stored = source.tensors;
  switch (name) {
    case "fp8":
    case "fbgemm_fp8":
      return planScaled(stored, { block: readBlock(settings, "weight_block_size") });
    case "gptq":
      return planGptq(stored, settings, new StoredValues(source));
    case "awq":
      return planAwq(stored, settings);
    case "auto-round":
    case "intel/auto-round":
      return planAutoRound(source, settings);
    case "mxfp4":
      // gpt-oss: its blocks go into the file as they are.
      return { weights: [], hidden: [], isAppended: false };
    case "mlx":
      return planMlx(stored, settings);
    case "bitsandbytes":
      return planBitsandbytes(stored, new StoredValues(source));
    case "compressed-tensors":
      return planCompressed(source, settings);
  }
  if (name.startsWith("modelopt")) return planModelopt(source, name, settings);
  throw refuseMethod(name);
}

/** AutoRound finds other numbers and writes them as GPTQ or AWQ does; layers of `extra_config` have bits of their own. */
function planAutoRound(source: WeightSource, settings: Fields): Unpacking {
  const packing = settings.text("packing_format") ?? settings.text("backend") ?? "auto_round:auto_gptq";
  if (/auto_gptq$/.test(packing)) {
    const own = settings.with({ checkpoint_format: "gptq", dynamic: settings.value("extra_config") });
    return planGptq(source.tensors, own, new StoredValues(source));
  }
  if (/awq/.test(packing)) return planAwq(source.tensors, settings.with({ version: "gemm" }));
  throw refuseMethod(`AutoRound in the packing ${packing}`);
}

function planModelopt({ tensors }: WeightSource, name: string, settings: Fields): Unpacking {
  const algorithm = (settings.text("quant_algo") ?? name).toUpperCase();
  // Mixed ones have layers of both kinds.
  if (/FP4|MIXED_PRECISION/.test(algorithm)) return planNvfp4(tensors);
  if (algorithm.includes("FP8")) return planScaled(tensors, { block: null });
  throw refuseMethod(`${name} ${algorithm}`);
}

function planCompressed(source: WeightSource, settings: Fields): Unpacking {
  const format = settings.text("format") ?? "dense";
  const groups = settings.object("config_groups");
  const kinds = Object.keys(groups?.values ?? {}).flatMap((name) => groups?.object(name) ?? []);
  const packed = kinds.flatMap((kind) => kind.object("weights") ?? []);
  const [first] = packed;
  switch (format) {
    case "float-quantized":
    case "int-quantized":
    case "naive-quantized":
      return planScaled(source.tensors, { block: readBlock(first ?? null, "block_structure") });
    case "nvfp4-pack-quantized":
      return planNvfp4(source.tensors);
    case "mixed-precision":
      if (kinds.every((kind) => kind.text("format") === "nvfp4-pack-quantized")) return planNvfp4(source.tensors);
      break;
    case "pack-quantized":
      if (first !== undefined && packed.every((other) => isAlike(other, first))) {
        return planPackQuantized(source.tensors, first, new StoredValues(source));
      }
  }
  throw refuseMethod(`compressed-tensors ${format}`);
}

/** Nothing says which tensors belong to which group but patterns of names: groups must agree. */
function isAlike(a: Fields, b: Fields): boolean {
  return ["num_bits", "group_size", "type"].every((key) => a.value(key) === b.value(key));
}

function refuseMethod(name: string): AppError {
  return new AppError({
    code: "format_unsupported",
    message: `the weights are quantised (${name.slice(0, 60)}), which is not unpacked`,
    hint: "Use the original weights of the model, or a GGUF of it. docs/converting.md lists what is unpacked.",
  });
}
