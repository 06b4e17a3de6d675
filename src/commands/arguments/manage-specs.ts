// The commands that look after the models of a running server: ps, load, switch and unload. What their words mean; pure. What
// they do is manage.ts.

import { booleanOption, flagOf, type OptionSpec, type RawFlags, textOption } from "../../lib/option.ts";
import { AppError } from "../../protocol/errors.ts";
import type { CommandSpec } from "./specs.ts";

const MANAGE_VERBS = ["ps", "load", "switch", "unload"] as const;
export type ManageVerb = (typeof MANAGE_VERBS)[number];

export interface ManageArguments {
  verb: ManageVerb;
  /** Null for `ps`. */
  model: string | null;
  /** Without a trailing slash. */
  server: string;
  apiKey: string | null;
  json: boolean;
}

const OPTIONS = {
  server: textOption(
    { name: "server", placeholder: "URL", description: "Where the server is" },
    /^https?:\/\/\S+$/,
    "a URL such as http://127.0.0.1:9000",
    "http://127.0.0.1:9000",
  ),
  apiKey: textOption(
    { name: "api_key", placeholder: "KEY", description: "Key to send to it" },
    /^\S+$/,
    "a key without spaces",
    "",
  ),
  json: booleanOption("json", "Print the server's answer as JSON"),
};

const command = (name: ManageVerb, summary: string, notes: readonly string[]): CommandSpec => ({
  name,
  operands: name === "ps" ? "" : "MODEL",
  operandsMax: name === "ps" ? 0 : 1,
  summary,
  options: Object.values(OPTIONS),
  notes,
});

export const MANAGE_COMMANDS: readonly CommandSpec[] = [
  command("ps", "List the models that a running server has in memory", [
    "PLANNED is what an engine was expected to take, MEMORY what its process has (its own + mapped from files).",
  ]),
  command("load", "Have a running server load a model", ["Models that nobody pinned make room for it."]),
  command("switch", "Have a running server load a model and make it the default", []),
  command("unload", "Have a running server give a model's memory back", ["Its running requests are answered first."]),
];

export function isManageVerb(name: string): name is ManageVerb {
  return (MANAGE_VERBS as readonly string[]).includes(name);
}

/** Throws `invalid_request`. */
export function readManageArguments(verb: ManageVerb, flags: RawFlags, [model]: readonly string[]): ManageArguments {
  if (verb !== "ps" && model === undefined) throw usageError(verb, `${verb} needs a model's name`);
  const json = read(verb, OPTIONS.json, flags);
  return {
    verb,
    model: model ?? null,
    server: String(read(verb, OPTIONS.server, flags)).replace(/\/+$/, ""),
    apiKey: String(read(verb, OPTIONS.apiKey, flags)) || null,
    json: json === true,
  };
}

function read(verb: ManageVerb, spec: OptionSpec, flags: RawFlags): unknown {
  const value = flags.get(spec.name)?.at(-1);
  if (value === undefined) return spec.default;
  const result = spec.schema.safeParse(value);
  if (!result.success) throw usageError(verb, `${flagOf(spec.name)} must be ${spec.expected}, not "${value}"`);
  return result.data;
}

function usageError(verb: ManageVerb, message: string): AppError {
  const hint = `ml-offload ${verb} --help shows what there is.`;
  return new AppError({ code: "invalid_request", message, hint });
}
