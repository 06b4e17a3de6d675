// `show PATH|NAME [FILTER]`: what a file or folder is, whether it runs, its metadata and tensors. Starts no server and loads
// no model.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { loadConfig } from "../config.ts";
import { createLogger } from "../lib/log.ts";
import type { RawFlags } from "../lib/option.ts";
import { type Environment, resolveFolders } from "../lib/paths.ts";
import { inspectWhole } from "../models/inspect.ts";
import { locateNativeFiles } from "../router/native-files.ts";
import { EXIT_CODES, type ExitCode } from "./exit-codes.ts";
import { openRegistry } from "./server.ts";
import { renderInspection } from "./show-text.ts";

export interface ShowArguments {
  /** A path, or the name of a model that `serve` would list. */
  subject: string;
  /** Part of a metadata key's or tensor's name; null: all metadata. */
  filter: string | null;
  tensors: boolean;
  json: boolean;
}

export async function show(
  { show: args, flags, configPath }: { show: ShowArguments; flags: RawFlags; configPath: string | null },
  env: Environment,
  cwd: string,
): Promise<ExitCode> {
  const own = resolve(cwd, args.subject);
  const path = existsSync(own) ? own : await findModel(args.subject, flags, configPath, env, cwd);
  const found = inspectWhole(path, { ...args, thorough: true });
  process.stdout.write(args.json ? `${JSON.stringify(found, null, 2)}\n` : renderInspection(found));
  return EXIT_CODES.ok;
}

/** As the server would resolve it, the demo model included. Throws `model_not_found` with the nearest names. */
async function findModel(
  name: string,
  flags: RawFlags,
  configPath: string | null,
  env: Environment,
  cwd: string,
): Promise<string> {
  const folders = resolveFolders(env);
  const { values: config } = loadConfig({ flags, env, folders, cwd }, configPath);
  const log = createLogger({ level: "error", format: "text" });
  const { demoModel } = await locateNativeFiles(folders.cache, env.ML_OFFLOAD_NATIVE_DIR);
  // What a folder was converted to is no part of what it is.
  return openRegistry({ config, folders, env, log }, { demoModel }, undefined, () => null).resolve(name).path;
}
