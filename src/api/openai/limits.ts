// What both generation routes check after the schema: token limits, and fields that we know but do not support.

import { AppError } from "../../protocol/errors.ts";

/** -1 and absent are "until the context is full"; 0 would be an answer without a token. */
export function readTokenLimit(param: string, value: number | undefined): number | undefined {
  if (value === undefined || value === -1) return undefined;
  if (value === 0) {
    const message = `\`${param}\` must be at least 1, or -1 for no limit, got 0`;
    throw new AppError({ code: "invalid_request", message, param });
  }
  return value;
}

export function readStops(stop: string | string[] | undefined): string[] {
  if (stop === undefined) return [];
  return typeof stop === "string" ? [stop] : stop;
}

export function refuse(param: string, supported: string): never {
  throw new AppError({ code: "not_supported", message: `\`${param}\` is not supported: ${supported}`, param });
}

export function invalidField(param: string, problem: string): AppError {
  return new AppError({ code: "invalid_request", message: `\`${param}\` ${problem}`, param });
}
