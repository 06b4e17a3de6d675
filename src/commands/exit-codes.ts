// The process's exit codes. Fixed: tools that embed us rely on them (docs/embedding.md).

import { toAppError } from "../protocol/errors.ts";

export const EXIT_CODES = {
  ok: 0,
  /** The command ran and failed: the message is on stderr. */
  failed: 1,
  /** The command line, the environment or the config file is wrong. */
  usage: 2,
  /** `serve`: the address is in use or can't be bound. */
  addressUnavailable: 3,
  /** No native library or no backend that runs here. */
  nativeUnavailable: 4,
  /** Ended by Ctrl-C, as shells report SIGINT. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT_CODES)[keyof typeof EXIT_CODES];

/**
 * Of a server that could not be put together: a setting names something that can't be used, such as an adapter's file,
 * the model to talk to is not there, or there is nothing to run models with.
 */
export function exitCodeOfStart(thrown: unknown): ExitCode {
  const { code } = toAppError(thrown);
  if (code === "model_not_found") return EXIT_CODES.failed;
  return code === "invalid_request" || code === "format_unsupported" ? EXIT_CODES.usage : EXIT_CODES.nativeUnavailable;
}
