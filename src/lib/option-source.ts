// Where an option's value comes from: flags over environment over file over default. Pure; it neither checks values nor
// reads files.

import { delimiter } from "node:path";
import { flagOf, type OptionSpec, type RawFlags, variableOf } from "./option.ts";
import type { Environment, Folders } from "./paths.ts";

export type Origin = "flag" | "env" | "file" | "default";

export interface OptionSources {
  flags: RawFlags;
  env: Environment;
  folders: Folders;
}

export interface RawValue {
  origin: Origin;
  /** What to call it in an error. */
  label: string;
  value: unknown;
}

/** The first of flag, environment, file and default that has the option. */
export function pickRaw(spec: OptionSpec, sources: OptionSources, fileValues: Record<string, unknown>): RawValue {
  const flag = sources.flags.get(spec.name);
  if (flag !== undefined) {
    return { origin: "flag", label: flagOf(spec.name), value: spec.kind === "list" ? flag : flag.at(-1) };
  }
  const variable = sources.env[variableOf(spec)];
  // An empty variable counts as unset: that is how shells and unit files switch one off.
  if (variable !== undefined && variable !== "") {
    const parts = variable.split(spec.paths === true ? delimiter : ",").map((part) => part.trim());
    const value = spec.kind === "list" ? parts.filter((part) => part !== "") : variable;
    return { origin: "env", label: variableOf(spec), value };
  }
  const inFile = fileValues[spec.name];
  if (inFile !== undefined && inFile !== null) {
    const value = spec.kind === "list" && !Array.isArray(inFile) ? [inFile] : inFile;
    return { origin: "file", label: `${spec.name} in the config file`, value };
  }
  const standard = typeof spec.default === "function" ? spec.default(sources.folders) : spec.default;
  return { origin: "default", label: spec.name, value: standard };
}
