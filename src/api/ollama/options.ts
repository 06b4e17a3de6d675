// Ollama's `options`: what of it shapes an answer. The rest (num_ctx, num_gpu, num_thread, …) belongs to an engine, which
// serves everybody, and is set when the server starts: such fields are accepted and ignored. Pure.

import { type Static, Type } from "@sinclair/typebox";
import type { GenerationRequest } from "../../protocol/generation.ts";
import { readStops } from "../openai/limits.ts";
import { readSampling, SAMPLING_FIELDS } from "../openai/sampling.ts";
import { STOP_CHARS_MAX, STOPS_MAX } from "../openai/schema.ts";

const INT32_MAX = 2_147_483_647;

const StopText = Type.String({ minLength: 1, maxLength: STOP_CHARS_MAX });

export const OptionsBody = Type.Object(
  {
    ...SAMPLING_FIELDS,
    seed: Type.Optional(Type.Integer({ description: "Negative or absent is random." })),
    num_predict: Type.Optional(
      Type.Integer({ maximum: INT32_MAX, description: "Most tokens to generate; below 1: until the context is full." }),
    ),
    num_keep: Type.Optional(
      Type.Integer({
        minimum: -1,
        maximum: INT32_MAX,
        description: "With `shift`: leading tokens that stay, at most half of the context; -1 is the whole prompt.",
      }),
    ),
    num_ctx: Type.Optional(
      Type.Integer({ description: "Ignored: `--ctx` says it, and a prompt that is longer is refused, never cut." }),
    ),
    stop: Type.Optional(Type.Union([StopText, Type.Array(StopText, { maxItems: STOPS_MAX })])),
  },
  { description: "Sampling and limits; fields of Ollama's that belong to the engine are ignored." },
);
export type OptionsBody = Static<typeof OptionsBody>;

type Settings = Pick<GenerationRequest, "sampling" | "stop" | "maxTokens" | "keepTokens">;

export function readOptions(options: OptionsBody = {}, contextLength: number): Settings {
  const { num_predict: limit = 0, num_keep: keep, stop, seed, ...rest } = options;
  const sampled = seed === undefined || seed < 0 ? rest : { ...rest, seed };
  return {
    sampling: readSampling(sampled, contextLength),
    stop: readStops(stop),
    ...(limit > 0 ? { maxTokens: limit } : {}),
    ...(keep === undefined ? {} : { keepTokens: keep }),
  };
}
