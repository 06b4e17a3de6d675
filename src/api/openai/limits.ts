// What both generation routes check after the schema: token limits, numbers of choices, and fields that we know but do
// not support.

import { AppError } from "../../protocol/errors.ts";
import type { GenerationRequest } from "../../protocol/generation.ts";

/** Each choice takes a place in the engine as a request does, and one request should leave some to others. */
export const CHOICES_PER_PROMPT_MAX = 16;

/** An engine's places by default (`--parallel`): more would only queue behind each other within one request. */
export const CHOICES_MAX = 64;

/** -1 and absent are "until the context is full"; 0 would be an answer without a token: `takesNone` where that is of use. */
export function readTokenLimit(param: string, value: number | undefined, takesNone = false): number | undefined {
  if (value === undefined || value === -1) return undefined;
  if (value === 0 && !takesNone) {
    const message = `\`${param}\` must be at least 1, or -1 for no limit, got 0`;
    throw new AppError({ code: "invalid_request", message, param });
  }
  return value;
}

export function readStops(stop: string | string[] | undefined): string[] {
  if (stop === undefined) return [];
  return typeof stop === "string" ? [stop] : stop;
}

/** The request once per choice. A seed counts up, so that choices differ and can be had again. */
export function repeatPerChoice(request: GenerationRequest, choices: number): GenerationRequest[] {
  const { seed } = request.sampling;
  return Array.from({ length: choices }, (_, choice) =>
    seed === undefined ? request : { ...request, sampling: { ...request.sampling, seed: (seed + choice) % 2 ** 32 } },
  );
}

export function refuse(param: string, supported: string): never {
  throw new AppError({ code: "not_supported", message: `\`${param}\` is not supported: ${supported}`, param });
}

export function invalidField(param: string, problem: string): AppError {
  return new AppError({ code: "invalid_request", message: `\`${param}\` ${problem}`, param });
}
