// Where an engine's layers lie, and in which type it keeps keys and values: a part of the table of `serve`'s options. Pure.

import { z } from "zod";
import { choiceOption, integerOption, type OptionSpec } from "../lib/option.ts";
import { DEVICES_MAX, KV_TYPES, LAYERS_MAX, toShares } from "../protocol/memory-need.ts";

const INT32_MAX = 2 ** 31 - 1;

/** Sources give numbers in a list, or texts with commas in them. */
const shares = z
  .array(z.union([z.number(), z.string()]))
  .transform((parts) => parts.flatMap((part) => String(part).split(",")))
  .pipe(z.array(z.string().regex(/^\d+(\.\d+)?$/)).max(DEVICES_MAX))
  .transform((parts): readonly number[] => toShares(parts.map(Number)));

export const PLACING_OPTIONS = {
  gpuLayers: integerOption(
    { name: "gpu_layers", placeholder: "N", description: "Layers to put on the GPU; -1 is all" },
    -1,
    INT32_MAX,
    -1,
  ),
  deviceShares: {
    name: "device_shares",
    kind: "list",
    placeholder: "N,N",
    description: "How several GPUs share these, such as 3,1; by default as their free memory",
    expected: `up to ${DEVICES_MAX} numbers with commas between them, such as 3,1`,
    schema: shares,
    default: [],
  } satisfies OptionSpec<typeof shares>,
  hostExpertLayers: integerOption(
    { name: "host_expert_layers", placeholder: "N", description: "First layers whose experts stay in host memory" },
    0,
    LAYERS_MAX,
    0,
  ),
  kvType: choiceOption({ name: "kv_type", placeholder: "TYPE", description: "Of keys and values" }, KV_TYPES, "f16"),
};
