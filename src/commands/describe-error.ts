// An error as a command tells it to a person, on stderr. Pure.

import type { AppError } from "../protocol/errors.ts";

/** Lines, each with its end. */
export function describeError({ message, hint }: AppError): string {
  return `error: ${message}\n${hint === "" ? "" : `hint: ${hint}\n`}`;
}
