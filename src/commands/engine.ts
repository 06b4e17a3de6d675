// `engine` (hidden): the child process that runs one model, or answers one question. Started by router/children/child.ts alone.

import { resolveConfig } from "../config.ts";
import { runEngine } from "../engine/run-engine.ts";
import { createLogger } from "../lib/log.ts";
import type { RawFlags } from "../lib/option.ts";
import { type Environment, resolveFolders } from "../lib/paths.ts";
import { AppError } from "../protocol/errors.ts";
import { LIBRARY_VARIABLE } from "../router/children/child.ts";
import { EXIT_CODES, type ExitCode } from "./exit-codes.ts";

export function engine(flags: RawFlags, env: Environment): ExitCode {
  const library = env[LIBRARY_VARIABLE];
  if (library === undefined) {
    throw new AppError({
      code: "invalid_request",
      message: "engine is started by the server, not by hand.",
      hint: "Use serve.",
    });
  }
  const own = new Map([...flags].filter(([name]) => name.startsWith("log_")));
  const { values } = resolveConfig({ flags: own, env: {}, folders: resolveFolders(env), cwd: "/" }, null);
  const log = createLogger({ level: values.logLevel, format: values.logFormat });
  return runEngine(library, log) === 0 ? EXIT_CODES.ok : EXIT_CODES.failed;
}
