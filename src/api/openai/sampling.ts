// Sampling fields of a request body, OpenAI's and llama.cpp's names: their schema and what they mean
// in the domain's words. Ranges stop absurd numbers here, before they reach native code.

import { type Static, Type } from "@sinclair/typebox";
import { AppError } from "../../protocol/errors.ts";
import type { SamplingParams } from "../../protocol/generation.ts";
import { AnyNames } from "../any-name.ts";

/** llama.cpp allocates a ring of this many tokens per sequence, so the look-back is bounded. */
const LOOK_BACK_TOKENS_MAX = 1_048_576;

/** A token id is an int32 in llama.cpp. */
const TOKEN_ID_MAX = 2_147_483_647;

const count = (maximum: number, description: string) =>
  Type.Optional(Type.Integer({ minimum: 0, maximum, description }));
const range = (minimum: number, maximum: number, description: string) =>
  Type.Optional(Type.Number({ minimum, maximum, description }));
const lookBack = (description: string) =>
  Type.Optional(Type.Integer({ minimum: -1, maximum: LOOK_BACK_TOKENS_MAX, description }));

export const SAMPLING_FIELDS = {
  temperature: range(0, 100, "0 is greedy. Default 0.8."),
  top_p: range(0, 1, "Nucleus sampling; 1 is off."),
  min_p: range(0, 1, "Least probability relative to the likeliest token; 0 is off."),
  top_k: Type.Optional(Type.Integer({ minimum: -1, maximum: TOKEN_ID_MAX, description: "0 and -1 are off." })),
  typical_p: range(0, 1, "Locally typical sampling; 1 is off."),
  top_n_sigma: range(-1, 1000, "Top-nσ sampling; -1 is off."),
  presence_penalty: range(-2, 2, "Penalty for a token that has occurred."),
  frequency_penalty: range(-2, 2, "Penalty for each time that a token has occurred."),
  // Logits are divided by it: it must not be 0 as a float32 either.
  repeat_penalty: range(0.01, 10, "llama.cpp's repetition penalty; 1 is off."),
  repeat_last_n: lookBack("Tokens that the penalties look back on; 0 is none, -1 the whole context."),
  dry_multiplier: range(0, 100, "DRY repetition penalty; 0 is off."),
  dry_base: range(0, 100, "Base of DRY's exponential growth."),
  dry_allowed_length: count(LOOK_BACK_TOKENS_MAX, "Longest repetition that DRY leaves alone."),
  dry_penalty_last_n: lookBack("Tokens that DRY looks back on; -1 is the whole context."),
  dry_sequence_breakers: Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
      maxItems: 64,
      description: "Strings that DRY stops at.",
    }),
  ),
  xtc_probability: range(0, 1, "Chance that XTC removes the likeliest tokens; 0 is off."),
  xtc_threshold: range(0, 1, "Least probability of a token that XTC may remove."),
  dynatemp_range: range(0, 100, "Dynamic temperature: the range around `temperature`; 0 is off."),
  dynatemp_exponent: range(0, 100, "Dynamic temperature's exponent."),
  mirostat: Type.Optional(
    Type.Union([Type.Literal(0), Type.Literal(1), Type.Literal(2)], { description: "Mirostat's version; 0 is off." }),
  ),
  mirostat_tau: range(0, 100, "Mirostat's target entropy."),
  mirostat_eta: range(0, 100, "Mirostat's learning rate."),
  min_keep: count(LOOK_BACK_TOKENS_MAX, "Least number of tokens that a sampler leaves."),
  min_tokens: count(LOOK_BACK_TOKENS_MAX, "Tokens before the model may end by itself."),
  reasoning_budget_tokens: Type.Optional(
    Type.Integer({
      minimum: -1,
      maximum: LOOK_BACK_TOKENS_MAX,
      description: "Tokens of reasoning after which the model must answer; -1 is no limit, 0 is no reasoning.",
    }),
  ),
  seed: Type.Optional(
    Type.Integer({ minimum: -1, description: "-1 or absent is random; larger ones are taken modulo 2^32." }),
  ),
  ignore_eos: Type.Optional(Type.Boolean({ description: "Never end before the limit." })),
  logit_bias: Type.Optional(
    AnyNames(Type.Number({ minimum: -100, maximum: 100 }), {
      // OpenAI takes 300; a list of banned words in every spelling is longer.
      maxProperties: 16_384,
      description: "Token id → number added to its logit; -100 bans the token.",
    }),
  ),
  grammar: Type.Optional(
    Type.String({ minLength: 1, maxLength: 1_048_576, description: "A GBNF grammar that the output must follow." }),
  ),
};

const SamplingBody = Type.Object(SAMPLING_FIELDS);
export type SamplingBody = Static<typeof SamplingBody>;

/** Fields whose meaning needs no change: body name → domain name. */
const SAME_MEANING = {
  temperature: "temperature",
  top_p: "topP",
  min_p: "minP",
  typical_p: "typicalP",
  top_n_sigma: "topNSigma",
  presence_penalty: "presencePenalty",
  frequency_penalty: "frequencyPenalty",
  repeat_penalty: "repeatPenalty",
  dry_multiplier: "dryMultiplier",
  dry_base: "dryBase",
  dry_allowed_length: "dryAllowedLength",
  dry_sequence_breakers: "drySequenceBreakers",
  xtc_probability: "xtcProbability",
  xtc_threshold: "xtcThreshold",
  dynatemp_range: "dynatempRange",
  dynatemp_exponent: "dynatempExponent",
  mirostat: "mirostat",
  mirostat_tau: "mirostatTau",
  mirostat_eta: "mirostatEta",
  min_keep: "minKeep",
  ignore_eos: "ignoreEos",
  min_tokens: "minTokens",
  reasoning_budget_tokens: "reasoningBudgetTokens",
  grammar: "grammar",
} as const satisfies Partial<Record<keyof SamplingBody, keyof SamplingParams>>;

/** `contextLength` is what a look-back of -1 stands for. */
export function readSampling(body: SamplingBody, contextLength: number): SamplingParams {
  const params: Record<string, unknown> = {};
  for (const [from, to] of Object.entries(SAME_MEANING)) {
    const value = body[from as keyof typeof SAME_MEANING];
    if (value !== undefined) params[to] = value;
  }
  const sampling: SamplingParams = params;
  const wholeContext = Math.min(contextLength, LOOK_BACK_TOKENS_MAX);
  if (body.top_k !== undefined) sampling.topK = Math.max(0, body.top_k);
  if (body.seed !== undefined && body.seed >= 0) sampling.seed = body.seed % 2 ** 32;
  if (body.repeat_last_n !== undefined)
    sampling.repeatLastN = body.repeat_last_n < 0 ? wholeContext : body.repeat_last_n;
  if (body.dry_penalty_last_n !== undefined) {
    sampling.dryPenaltyLastN = body.dry_penalty_last_n < 0 ? wholeContext : body.dry_penalty_last_n;
  }
  if (body.logit_bias !== undefined) sampling.logitBias = readLogitBias(body.logit_bias);
  return sampling;
}

function readLogitBias(bias: Record<string, number>): [token: number, bias: number][] {
  return Object.entries(bias).map(([key, value]) => {
    if (!/^\d{1,10}$/.test(key) || Number(key) > TOKEN_ID_MAX) {
      throw new AppError({
        code: "invalid_request",
        message: `\`logit_bias\` has the key ${JSON.stringify(key.slice(0, 60))}, which is not a token id`,
        param: `logit_bias.${key.slice(0, 60)}`,
      });
    }
    return [Number(key), value];
  });
}
