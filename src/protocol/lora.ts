// LoRA adapters as both sides name them: by their place in the order of `--lora`, each with a scale. What a list of
// scales means, and which ones are refused, is said here once. Knows no files and no native types.

import { AppError } from "./errors.ts";

/** Each has its place in a model's graph, and llama.cpp adds one product after the other: more would crawl. */
export const ADAPTERS_MAX = 16;

/** What is beyond this is a mistake: adapters are trained for 1, and at 100 any of them drowns its model. */
export const SCALE_MAX = 100;

/** One adapter's scale; 0 is without it. */
export interface LoraScale {
  id: number;
  scale: number;
}

/** An adapter that a server has. */
export interface LoraAdapter extends LoraScale {
  /** File name. */
  path: string;
  /** What its file says of itself; empty where it says nothing. */
  taskName: string;
  promptPrefix: string;
}

/**
 * One scale for each of `count` adapters: those that are not named have 0. Throws `invalid_request` for an adapter that
 * is not there or is named twice, and for a scale out of range.
 */
export function resolveScales(asked: readonly LoraScale[], count: number): number[] {
  const scales = new Array<number>(count).fill(0);
  const seen = new Set<number>();
  for (const [at, { id, scale }] of asked.entries()) {
    if (!Number.isInteger(id) || id < 0 || id >= count) {
      const there = count === 0 ? "this model has no adapters" : `this model's adapters are 0 to ${count - 1}`;
      throw invalid(`lora[${at}].id`, `must be the number of an adapter, got ${id}: ${there}`);
    }
    if (seen.has(id)) throw invalid(`lora[${at}].id`, `names adapter ${id} a second time`);
    if (!isScale(scale)) {
      throw invalid(`lora[${at}].scale`, `must be a number from -${SCALE_MAX} to ${SCALE_MAX}, got ${scale}`);
    }
    seen.add(id);
    // As llama.cpp has it: what it can't tell apart is the same.
    scales[id] = Math.fround(scale);
  }
  return scales;
}

export function isScale(scale: number): boolean {
  return Number.isFinite(scale) && Math.abs(scale) <= SCALE_MAX;
}

function invalid(param: string, what: string): AppError {
  const hint = "GET /lora-adapters lists the adapters; --lora adds one.";
  return new AppError({ code: "invalid_request", message: `\`${param}\` ${what}`, param, hint });
}
