// How positions are stretched: config.json's RoPE fields (both the older `rope_theta` with `rope_scaling` and the newer
// `rope_parameters`) as GGUF has them. Pure. A kind that llama.cpp would not compute is refused, not dropped.

import type { GgufEntry } from "../formats/gguf/write-header.ts";
import { AppError } from "../protocol/errors.ts";
import { damagedModel, type Fields } from "./json-file.ts";

export interface RopePlan {
  theta: number;
  /** Keys below `<architecture>.rope.`, in the order in which they are written. */
  entries: [key: string, entry: GgufEntry][];
  /** Divisors of the frequencies, which llama.cpp takes as the tensor `rope_freqs.weight`. */
  factors: Float32Array | null;
  notes: string[];
}

export interface RopeFacts {
  headLength: number;
  trainedContext: number;
  thetaDefault: number;
  /** The architecture's graph reads `rope_freqs.weight`. */
  takesFactors: boolean;
}

export function planRope(config: Fields, facts: RopeFacts): RopePlan {
  const scaling = config.object("rope_parameters") ?? config.object("rope_scaling");
  const theta = scaling?.number("rope_theta") ?? config.number("rope_theta") ?? facts.thetaDefault;
  if (theta <= 0) throw config.wrong("rope_theta", "a number over 0");
  const plan: RopePlan = { theta, entries: [], factors: null, notes: [] };
  if (scaling !== null) planScaling(scaling, config, facts, theta, plan);
  plan.entries.push(["freq_base", { type: "f32", value: theta }]);
  return plan;
}

function planScaling(scaling: Fields, config: Fields, facts: RopeFacts, theta: number, plan: RopePlan): void {
  // Both names are in use; "default" is none.
  const kind = (scaling.text("rope_type") ?? scaling.text("type") ?? "default").toLowerCase();
  switch (kind) {
    case "default":
      return;
    case "linear":
      plan.entries.push(["scaling.type", { type: "string", value: "linear" }], factorEntry(scaling));
      return;
    case "yarn":
      planYarn(scaling, config, facts, plan);
      return;
    case "llama3":
      if (!facts.takesFactors) throw unknownKind(kind);
      plan.factors = stretchByWavelength(scaling, facts.headLength, theta);
      return;
    case "dynamic":
      plan.notes.push(`RoPE scaling "dynamic" changes nothing within ${facts.trainedContext} tokens and is left out`);
      return;
    default:
      throw unknownKind(kind);
  }
}

function unknownKind(kind: string): AppError {
  return new AppError({
    code: "format_unsupported",
    message: `config.json asks for the RoPE scaling "${kind.slice(0, 40)}", which is not converted for this architecture`,
    hint: "default, linear, yarn and dynamic are, and llama3 for the Llama architecture.",
  });
}

function requiredNumber(scaling: Fields, name: string): number {
  const value = scaling.number(name);
  if (value === null) throw damagedModel(`${scaling.source} lacks "${name}"`);
  return value;
}

function factorEntry(scaling: Fields): [string, GgufEntry] {
  const factor = requiredNumber(scaling, "factor");
  if (factor <= 0) throw scaling.wrong("factor", "a number over 0");
  return ["scaling.factor", { type: "f32", value: factor }];
}

function planYarn(scaling: Fields, config: Fields, { trainedContext }: RopeFacts, plan: RopePlan): void {
  const original =
    scaling.size("original_max_position_embeddings") ??
    config.size("original_max_position_embeddings") ??
    trainedContext;
  plan.entries.push(["scaling.type", { type: "string", value: "yarn" }], factorEntry(scaling), [
    "scaling.original_context_length",
    { type: "u32", value: original },
  ]);
  const optional: [string, number | null][] = [
    ["scaling.yarn_ext_factor", scaling.number("extrapolation_factor")],
    ["scaling.yarn_attn_factor", scaling.number("attention_factor") ?? scaling.number("attn_factor")],
    ["scaling.yarn_beta_fast", scaling.number("beta_fast")],
    ["scaling.yarn_beta_slow", scaling.number("beta_slow")],
  ];
  for (const [key, value] of optional) if (value !== null) plan.entries.push([key, { type: "f32", value }]);
}

/**
 * Llama 3.1's: long wavelengths are stretched by the factor, short ones are left alone, and between the two bounds
 * there is a smooth way over. In single precision, step by step, as the reference computes it.
 */
function stretchByWavelength(scaling: Fields, headLength: number, theta: number): Float32Array {
  const f = Math.fround;
  const factor = scaling.number("factor") ?? 8;
  const low = scaling.number("low_freq_factor") ?? 1;
  const high = scaling.number("high_freq_factor") ?? 4;
  const original = scaling.size("original_max_position_embeddings") ?? 8192;
  if (factor <= 0 || low <= 0 || high <= low) {
    throw damagedModel(`${scaling.source}: factor, low_freq_factor and high_freq_factor contradict each other`);
  }
  return Float32Array.from({ length: headLength / 2 }, (_, i) => {
    const frequency = f(1 / f(theta ** f((2 * i) / headLength)));
    const wavelength = f(f(2 * Math.PI) / frequency);
    if (wavelength < original / high) return 1;
    if (wavelength > original / low) return factor;
    const smooth = f(f(f(original / wavelength) - low) / f(high - low));
    return f(1 / f(f(f(1 - smooth) / factor) + smooth));
  });
}
