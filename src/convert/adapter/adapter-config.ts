// What adapter_config.json says of a PEFT adapter: how strongly it works. What llama.cpp can't do with an adapter is refused
// here, by name.

import { AppError } from "../../protocol/errors.ts";
import { damagedModel, type Fields, readJsonFile } from "../json-file.ts";

export const ADAPTER_CONFIG = "adapter_config.json";

export interface AdapterConfig {
  /** What the file says: llama.cpp divides it by the rank of each pair of factors. */
  alpha: number;
  /** By which the second factor of a layer is multiplied, so that it works as PEFT has it. */
  factorOf: (layer: string, rank: number) => number;
  /** A name or a path; null: not told. */
  baseModel: string | null;
  fields: Fields;
}

export function readAdapterConfig(folder: string): AdapterConfig {
  const fields = readJsonFile(folder, ADAPTER_CONFIG);
  if (fields === null) throw refuse(`${folder} has no ${ADAPTER_CONFIG}`, "Name the folder of a PEFT adapter.");
  const type = fields.text("peft_type") ?? "LORA";
  if (type !== "LORA") throw refuse(`the adapter is of the type ${type.slice(0, 40)}, which llama.cpp does not have`);
  const reason = findRefusal(fields);
  if (reason !== null) throw refuse(reason);
  const own = readOwnAlphas(fields);
  const rank = fields.requiredSize("r");
  const stated = readAlpha(fields, "lora_alpha");
  const isRankStabilized = fields.truth("use_rslora") === true;
  const divisor = (ranks: number): number => (isRankStabilized ? Math.sqrt(ranks) : ranks);
  // Exact for all pairs of the stated rank.
  const alpha = (stated / divisor(rank)) * rank;
  return {
    alpha,
    factorOf: (layer, ranks) => {
      const wanted =
        (own.find(([name]) => layer === name || layer.endsWith(`.${name}`))?.[1] ?? stated) / divisor(ranks);
      const factor = wanted / (alpha / ranks);
      return Math.abs(factor - 1) < 1e-9 ? 1 : factor;
    },
    baseModel: fields.text("base_model_name_or_path"),
    fields,
  };
}

/** Null: none of what llama.cpp does not do. */
function findRefusal(fields: Fields): string | null {
  const listed = (name: string): string[] => namesIn(fields.value(name));
  const saved = listed("modules_to_save");
  if (saved.length > 0) return `the adapter replaces whole layers (modules_to_save: ${saved.join(", ").slice(0, 120)})`;
  if (fields.truth("use_dora") === true) return "the adapter is a DoRA (use_dora), which scales the base's own weights";
  if (fields.truth("lora_bias") === true) return "the adapter has biases of its own (lora_bias)";
  const bias = fields.text("bias") ?? "none";
  if (bias !== "none") return `the adapter changes biases (bias: ${bias.slice(0, 40)})`;
  if (fields.value("alora_invocation_tokens") !== null)
    return "the adapter is an aLoRA, which works from a place in the text on";
  if (fields.value("layer_replication") !== null) return "the adapter repeats layers (layer_replication)";
  if (fields.value("trainable_token_indices") !== null)
    return "the adapter has tokens of its own (trainable_token_indices)";
  return null;
}

function namesIn(value: unknown): string[] {
  const names = Array.isArray(value) ? value : value === null ? [] : [value];
  return names.map((name) => String(name));
}

/** Layers with another strength, by the end of their names. PEFT takes patterns too; those are not followed. */
function readOwnAlphas(fields: Fields): [name: string, alpha: number][] {
  const own = fields.object("alpha_pattern");
  return Object.keys(own?.values ?? {}).map((name) => {
    if (!/^[\w.]+$/.test(name))
      throw refuse(`alpha_pattern has the pattern "${name.slice(0, 60)}", where names are read`);
    return [name, readAlpha(own as Fields, name)];
  });
}

function readAlpha(fields: Fields, name: string): number {
  const alpha = fields.number(name);
  if (alpha === null) throw damagedModel(`${fields.source} lacks "${name}"`, "Fetch the whole folder again.");
  if (!(alpha > 0 && alpha < 1e6)) throw fields.wrong(name, "a number over 0");
  return alpha;
}

export function refuse(message: string, hint = "Merge it into its base model with PEFT, and convert that."): AppError {
  return new AppError({ code: "format_unsupported", message, hint });
}
