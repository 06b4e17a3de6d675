// What a model file may say: its keys, their ranges, and which of them have an effect. Pure. The ranges of settings are
// those of `serve`'s (a test compares them).

import { z } from "zod";
import { ADAPTERS_MAX } from "../../protocol/lora.ts";
import { DEVICES_MAX, KV_TYPES, LAYERS_MAX, toShares } from "../../protocol/memory-need.ts";
import { NO_CAPABILITIES } from "../capability.ts";

const INT32_MAX = 2 ** 31 - 1;
const DAY_SECONDS = 86_400;
/** llama.cpp's limit of sequence ids, of which one is the engine's own. */
export const SEQUENCES_MAX = 255;

const whole = (min: number, max: number) => z.number().int().min(min).max(max);
const range = (min: number, max: number) => z.number().min(min).max(max);
/** YAML reads `on` and `off` as text, as its newer versions do. */
const onOff = z.union([z.boolean(), z.enum(["on", "off"]).transform((word) => word === "on")]);
const path = z.string().min(1).max(4096);
/** Names go into listings, logs and URLs. */
const name = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .regex(/^[^\p{C}]+$/u, "holds control characters");

export const SETTINGS = z.strictObject({
  ctx: whole(0, INT32_MAX).optional(),
  parallel: whole(0, SEQUENCES_MAX).optional(),
  threads: whole(0, 512).optional(),
  gpu_layers: whole(-1, INT32_MAX).optional(),
  device_shares: z.array(range(0, 1_000_000)).max(DEVICES_MAX).transform(toShares).optional(),
  host_expert_layers: whole(0, LAYERS_MAX).optional(),
  kv_type: z.enum(KV_TYPES).optional(),
  batch_size: whole(1, 65_536).optional(),
  ubatch_size: whole(1, 65_536).optional(),
  pooling: z.enum(["auto", "none", "mean", "cls", "last", "rank"]).optional(),
  context_shift: onOff.optional(),
  retained: whole(0, 250).optional(),
  itl_max_ms: whole(0, 60_000).optional(),
  checkpoint_bytes: whole(0, 1024 ** 5).optional(),
  kv_store: onOff.optional(),
  speculate: z.enum(["auto", "lookup", "draft", "mtp", "off"]).optional(),
  draft_model: path.optional(),
  draft_max: whole(1, 64).optional(),
  lora: z.union([path.transform((file) => [file]), z.array(path).max(ADAPTERS_MAX)]).optional(),
  load_timeout: range(1, DAY_SECONDS).optional(),
  sleep_after: range(0, DAY_SECONDS).optional(),
  chat_template: z.string().optional(),
  chat_template_file: path.optional(),
  backend: z.union([z.string(), z.array(z.string()).max(16)]).optional(),
});

/** The ranges are those of requests. */
export const SAMPLING = z.strictObject({
  temperature: range(0, 100).optional(),
  top_k: whole(0, INT32_MAX).optional(),
  top_p: range(0, 1).optional(),
  min_p: range(0, 1).optional(),
  typical_p: range(0, 1).optional(),
  top_n_sigma: range(-1, 1000).optional(),
  repeat_penalty: range(0.01, 10).optional(),
  repeat_last_n: whole(0, 1_048_576).optional(),
  presence_penalty: range(-2, 2).optional(),
  frequency_penalty: range(-2, 2).optional(),
  xtc_probability: range(0, 1).optional(),
  xtc_threshold: range(0, 1).optional(),
  dry_multiplier: range(0, 100).optional(),
  dry_base: range(0, 100).optional(),
  reasoning_budget_tokens: whole(-1, 1_048_576).optional(),
  seed: whole(0, 2 ** 32 - 1).optional(),
  max_tokens: whole(1, INT32_MAX).optional(),
});

const CAPABILITY_NAMES = Object.keys(NO_CAPABILITIES) as (keyof typeof NO_CAPABILITIES)[];
const capabilityName = z.enum(CAPABILITY_NAMES as [keyof typeof NO_CAPABILITIES]);

/** Kept and shown; what is in them has no meaning here. */
const free = z.union([z.record(z.string(), z.unknown()), z.array(z.unknown()), z.string(), z.number()]);

export const MODEL_FILE = z.strictObject({
  model_id: name(200).regex(/^[^\s=]+$/, "must not hold spaces and ="),
  display_name: name(200).optional(),
  description: z.string().max(4096).optional(),
  model_type: name(60).optional(),
  path,
  framework: name(60).optional(),
  /** A list: these and no others. An object: only what it names changes. */
  capabilities: z.union([z.array(capabilityName), z.partialRecord(capabilityName, z.boolean())]).optional(),
  settings: SETTINGS.optional(),
  sampling: SAMPLING.optional(),
  requirements: free.optional(),
  optimization_hints: free.optional(),
  hardware_scaling: free.optional(),
});
export type ModelFile = z.output<typeof MODEL_FILE>;

/** Keys that are taken and have no effect. */
const WITHOUT_EFFECT = ["requirements", "optimization_hints", "hardware_scaling"] as const;
const SETTINGS_WITHOUT_EFFECT = ["chat_template", "chat_template_file", "backend"] as const;

/** As they are called where models come from that this program runs. */
const OUR_FRAMEWORKS = /^(gguf|ggml|llama[._-]?cpp|auto)$/i;

export function listWithoutEffect(file: ModelFile): string[] {
  const { settings = {}, framework } = file;
  return [
    ...WITHOUT_EFFECT.filter((key) => file[key] !== undefined),
    ...(framework === undefined || OUR_FRAMEWORKS.test(framework) ? [] : ["framework"]),
    ...SETTINGS_WITHOUT_EFFECT.filter((key) => settings[key] !== undefined).map((key) => `settings.${key}`),
  ];
}

export function listKeys(at: readonly PropertyKey[]): string[] {
  if (at[0] === "settings") return Object.keys(SETTINGS.shape);
  if (at[0] === "sampling") return Object.keys(SAMPLING.shape);
  return Object.keys(MODEL_FILE.shape);
}
