// LoRA adapters in a body, as llama.cpp's server names them: the field's schema and its meaning. Pure. Which adapters
// there are is not known here: the engine refuses those that it does not have.

import { type Static, Type } from "@sinclair/typebox";
import type { GenerationRequest } from "../protocol/generation.ts";
import { ADAPTERS_MAX, SCALE_MAX } from "../protocol/lora.ts";

export const LoraScales = Type.Array(
  Type.Object({
    id: Type.Integer({ minimum: 0, maximum: ADAPTERS_MAX - 1, description: "As `GET /lora-adapters` lists it." }),
    scale: Type.Number({ minimum: -SCALE_MAX, maximum: SCALE_MAX, description: "0 is without it." }),
  }),
  { maxItems: ADAPTERS_MAX },
);

export const LORA_FIELDS = {
  lora: Type.Optional({
    ...LoraScales,
    description:
      "Adapters of this request: those that are not named have scale 0. Absent or empty: the server's scales.",
  }),
};

const LoraBody = Type.Object(LORA_FIELDS);
export type LoraBody = Static<typeof LoraBody>;

export function readLora({ lora }: LoraBody): Pick<GenerationRequest, "lora"> {
  return lora === undefined ? {} : { lora };
}
