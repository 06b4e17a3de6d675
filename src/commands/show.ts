// `show PATH|NAME [FILTER]`: what a file or folder is, whether it runs, its metadata and tensors. Starts no server and loads
// no model.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { loadConfig } from "../config.ts";
import type { RawFlags } from "../lib/option.ts";
import { type Environment, resolveFolders } from "../lib/paths.ts";
import { readAliases } from "../models/alias.ts";
import { inspectWhole } from "../models/inspect.ts";
import { ModelRegistry } from "../models/registry.ts";
import { EXIT_CODES, type ExitCode } from "./exit-codes.ts";
import { renderInspection } from "./show-text.ts";

export interface ShowArguments {
  /** A path, or the name of a model that `serve` would list. */
  subject: string;
  /** Part of a metadata key's or tensor's name; null: all metadata. */
  filter: string | null;
  tensors: boolean;
  json: boolean;
}

export function show(
  { show: args, flags, configPath }: { show: ShowArguments; flags: RawFlags; configPath: string | null },
  env: Environment,
  cwd: string,
): ExitCode {
  const own = resolve(cwd, args.subject);
  const path = existsSync(own) ? own : findModel(args.subject, flags, configPath, env, cwd);
  const found = inspectWhole(path, { ...args, thorough: true });
  process.stdout.write(args.json ? `${JSON.stringify(found, null, 2)}\n` : renderInspection(found));
  return EXIT_CODES.ok;
}

/** Throws `model_not_found` with the nearest names. */
function findModel(name: string, flags: RawFlags, configPath: string | null, env: Environment, cwd: string): string {
  const { values } = loadConfig({ flags, env, folders: resolveFolders(env), cwd }, configPath);
  const registry = new ModelRegistry({
    models: values.model,
    modelsDirs: values.modelsDir,
    demoPath: null,
    aliases: readAliases(values.alias),
  });
  return registry.resolve(name).path;
}
