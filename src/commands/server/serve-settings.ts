// The settings of `serve` for commands that plan without a server: by the same flags, variables and file, so that they say what
// a server here would say. Decides nothing.

import { type ConfigKey, loadConfig, type ServeConfig } from "../../config.ts";
import type { RawFlags } from "../../lib/option.ts";
import { type Environment, type Folders, resolveFolders } from "../../lib/paths.ts";
import type { MachineSource } from "../../protocol/machine.ts";
import { type BudgetPolicy, describeBudget } from "../../router/placement/budget.ts";
import { fileLimitBytes } from "../../router/placement/file-fit.ts";
import { recallRates } from "../../router/placement/machine-bench.ts";
import { listSaid } from "./asked-settings.ts";

/** What a command line gives of them. */
export interface AskedFlags {
  flags: RawFlags;
  /** `--config`; null: the standard file. */
  configPath: string | null;
}

export interface ServeSettings {
  config: ServeConfig;
  /** Those that somebody gave a value. */
  said: ReadonlySet<ConfigKey>;
  folders: Folders;
}

/** Throws `invalid_request`, with the setting that is wrong. */
export function readServeSettings({ flags, configPath }: AskedFlags, env: Environment, cwd: string): ServeSettings {
  const folders = resolveFolders(env);
  const resolved = loadConfig({ flags, env, folders, cwd }, configPath);
  return { config: resolved.values, said: listSaid(resolved), folders };
}

export function describePolicy(config: ServeConfig): BudgetPolicy {
  return {
    memoryShare: config.memoryShare === 0 ? null : config.memoryShare / 100,
    baseShare: config.baseShare / 100,
    freeShare: config.freeShare / 100,
    deviceShare: config.deviceShare / 100,
    memoryBudgetBytes: config.memoryBudgetBytes === 0 ? null : config.memoryBudgetBytes,
    automatic: config.autoOptimization,
    thermalThrottling: config.thermalThrottling,
    powerManagement: config.powerManagement,
  };
}

/** Of a conversion, as `--convert-type` says; null: whichever fits. */
export function readConvertType({ convertType }: ServeConfig): string | null {
  const type = convertType.toLowerCase();
  return type === "auto" ? null : type;
}

/** The largest file of weights that fits now, as if nothing were loaded; null: not known. Nothing is measured for it. */
export async function limitFiles(machine: MachineSource, { config, folders }: ServeSettings): Promise<number | null> {
  const snapshot = await machine.read(0);
  return fileLimitBytes(describeBudget(snapshot, describePolicy(config), [], recallRates(folders.cache)).machine);
}
