// The command line → a typed invocation. Pure: prints nothing, reads nothing, exits nothing.
// What it can't understand is an `invalid_request` that names the nearest word.

import type { SearchQuery } from "../../hub/search.ts";
import { findNearest } from "../../lib/nearest.ts";
import { flagOf, type OptionSpec, type RawFlags } from "../../lib/option.ts";
import type { AppError } from "../../protocol/errors.ts";
import type { ConvertArguments } from "../convert.ts";
import type { PlanArguments } from "../plan.ts";
import type { PullArguments } from "../pull.ts";
import type { ShowArguments } from "../show.ts";
import { isOn, lastOf, type ParsedFlags, parseFlags, usageError } from "./flags.ts";
import { isManageVerb, type ManageArguments, readManageArguments } from "./manage-specs.ts";
import {
  BENCH_OPTIONS,
  COMMANDS,
  CONVERT_OPTIONS,
  type CommandSpec,
  findCommand,
  RUN_OPTIONS,
  SEARCH_OPTIONS,
} from "./specs.ts";

/** What `run` needs besides settings. Empty texts and a 0 limit mean "not given". */
export interface RunArguments {
  model: string;
  prompt: string | null;
  server: string | null;
  apiKey: string | null;
  system: string | null;
  maxTokens: number | null;
  /** Null: the server's default. */
  temperature: number | null;
  json: boolean;
}

export interface BenchArguments {
  urls: readonly string[];
  scenarios: readonly string[];
  runs: number;
  model: string | null;
  apiKey: string | null;
  seed: string | null;
  json: boolean;
}

export interface SearchArguments extends Omit<Required<SearchQuery>, "signal"> {
  json: boolean;
}

export type Invocation =
  | { command: "help"; topic: string | null }
  | { command: "version"; json: boolean }
  | { command: "licenses" }
  | { command: "serve"; flags: RawFlags; configPath: string | null; printConfig: boolean; json: boolean }
  | { command: "run"; flags: RawFlags; configPath: string | null; run: RunArguments }
  | { command: "convert"; convert: ConvertArguments }
  | { command: "show"; flags: RawFlags; configPath: string | null; show: ShowArguments }
  | { command: "pull"; flags: RawFlags; configPath: string | null; pull: PullArguments }
  | { command: "search"; flags: RawFlags; configPath: string | null; search: SearchArguments }
  | { command: "plan"; flags: RawFlags; configPath: string | null; plan: PlanArguments }
  | { command: "recommend"; flags: RawFlags; configPath: string | null; json: boolean }
  | { command: "bench"; bench: BenchArguments }
  | { command: "devices"; json: boolean; watch: boolean }
  | { command: "manage"; manage: ManageArguments }
  | { command: "probe"; addon: string }
  | { command: "engine"; job: string | null; flags: RawFlags };

/** `args` are those behind the program's name. None at all asks for help. */
export function parseArgv(args: readonly string[]): Invocation {
  const [first, ...rest] = args;
  if (first === undefined || first === "--help" || first === "-h") return { command: "help", topic: null };
  if (first === "--version" || first === "-V") return { command: "version", json: rest.includes("--json") };
  const spec = findCommand(first);
  if (spec === undefined) throw unknownCommand(first);
  const parsed = parseFlags(rest, spec);
  if (parsed.help) return { command: "help", topic: spec.name };
  if (parsed.operands.length > spec.operandsMax) {
    throw usageError(`"${spec.name}" does not take the argument "${parsed.operands[spec.operandsMax]}"`, spec.name);
  }
  return toInvocation(spec, parsed);
}

function toInvocation(spec: CommandSpec, { flags, operands }: ParsedFlags): Invocation {
  if (isManageVerb(spec.name)) return { command: "manage", manage: readManageArguments(spec.name, flags, operands) };
  const configPath = lastOf(flags, "config");
  switch (spec.name) {
    case "serve": {
      if (operands.length > 0) flags.set("model", [...(flags.get("model") ?? []), ...operands]);
      const printConfig = isOn(flags, "print_config");
      return { command: "serve", flags, configPath, printConfig, json: isOn(flags, "json") };
    }
    case "run":
      return { command: "run", flags, configPath, run: toRunArguments(flags, operands) };
    case "convert":
      return { command: "convert", convert: toConvertArguments(flags, operands) };
    case "show":
      return { command: "show", flags, configPath, show: toShowArguments(flags, operands) };
    case "pull":
      return { command: "pull", flags, configPath, pull: toPullArguments(flags, operands) };
    case "search":
      return { command: "search", flags, configPath, search: toSearchArguments(flags, operands) };
    case "plan":
      return { command: "plan", flags, configPath, plan: { operands, json: isOn(flags, "json") } };
    case "recommend":
      return { command: "recommend", flags, configPath, json: isOn(flags, "json") };
    case "bench":
      return { command: "bench", bench: toBenchArguments(flags) };
    case "devices":
      return { command: "devices", json: isOn(flags, "json"), watch: isOn(flags, "watch") };
    case "probe":
      return { command: "probe", addon: operands[0] ?? "" };
    case "engine":
      return { command: "engine", job: lastOf(flags, "job"), flags };
    case "version":
      return { command: "version", json: isOn(flags, "json") };
    case "licenses":
      return { command: "licenses" };
    default: {
      const topic = operands[0] ?? null;
      if (topic !== null && findCommand(topic) === undefined) throw unknownCommand(topic);
      return { command: "help", topic };
    }
  }
}

function toRunArguments(flags: RawFlags, operands: readonly string[]): RunArguments {
  const [model, ...words] = operands;
  if (model === undefined) throw usageError("run needs a model: a name or the path of a GGUF file", "run");
  const maxTokens = checkOption("run", RUN_OPTIONS.maxTokens, flags);
  return {
    model,
    prompt: orNull(words.join(" ")),
    server: orNull(checkOption("run", RUN_OPTIONS.server, flags)),
    apiKey: orNull(checkOption("run", RUN_OPTIONS.apiKey, flags)),
    system: orNull(checkOption("run", RUN_OPTIONS.system, flags)),
    maxTokens: maxTokens === 0 ? null : maxTokens,
    temperature: flags.has("temperature") ? checkOption("run", RUN_OPTIONS.temperature, flags) : null,
    json: isOn(flags, "json"),
  };
}

function toConvertArguments(flags: RawFlags, [source, target]: readonly string[]): ConvertArguments {
  if (source === undefined) throw usageError("convert needs a folder or a GGUF file: convert SRC [DST]", "convert");
  const outType = checkOption("convert", CONVERT_OPTIONS.outType, flags);
  const isSet = (option: OptionSpec): boolean => isOn(flags, option.name);
  const { force, json, stopWithStdin, allowRequantize } = CONVERT_OPTIONS;
  return {
    source,
    target: target ?? null,
    outType,
    force: isSet(force),
    imatrix: orNull(checkOption("convert", CONVERT_OPTIONS.imatrix, flags)),
    allowRequantize: isSet(allowRequantize),
    json: isSet(json),
    stopWithStdin: isSet(stopWithStdin),
    base: lastOf(flags, "base"),
  };
}

function toShowArguments(flags: RawFlags, [subject, filter]: readonly string[]): ShowArguments {
  if (subject === undefined) throw usageError("show needs a path or a model's name", "show");
  return { subject, filter: filter ?? null, tensors: isOn(flags, "tensors"), json: isOn(flags, "json") };
}

function toPullArguments(flags: RawFlags, [model]: readonly string[]): PullArguments {
  if (model === undefined) throw usageError("pull needs a model: owner/repo[:tag] or an address", "pull");
  const outType = checkOption("pull", CONVERT_OPTIONS.outType, flags);
  const [converts, companions, json] = ["convert", "companions", "json"].map((name) => isOn(flags, name));
  return { model, converts: converts === true, outType, companions: companions === true, json: json === true };
}

function toSearchArguments(flags: RawFlags, operands: readonly string[]): SearchArguments {
  const task = checkOption("search", SEARCH_OPTIONS.task, flags);
  const capability = checkOption("search", SEARCH_OPTIONS.can, flags);
  return {
    words: operands.join(" "),
    task: task === "any" ? null : task,
    capability: capability === "any" ? null : capability,
    bytesMin: checkOption<number | null>("search", SEARCH_OPTIONS.minSize, flags),
    bytesMax: checkOption<number | null>("search", SEARCH_OPTIONS.maxSize, flags),
    fits: isOn(flags, "fits"),
    limit: checkOption("search", SEARCH_OPTIONS.limit, flags),
    json: isOn(flags, "json"),
  };
}

function toBenchArguments(flags: RawFlags): BenchArguments {
  return {
    urls: checkList("bench", BENCH_OPTIONS.url, flags),
    scenarios: checkList("bench", BENCH_OPTIONS.scenario, flags),
    runs: checkOption("bench", BENCH_OPTIONS.runs, flags),
    model: orNull(checkOption("bench", BENCH_OPTIONS.model, flags)),
    apiKey: orNull(checkOption("bench", BENCH_OPTIONS.apiKey, flags)),
    seed: orNull(checkOption("bench", BENCH_OPTIONS.seed, flags)),
    json: isOn(flags, "json"),
  };
}

function orNull(value: string): string | null {
  return value === "" ? null : value;
}

/** The command's own options have no other source than the command line. */
function checkOption<T>(command: string, spec: OptionSpec & { default: T }, flags: RawFlags): T {
  const value = lastOf(flags, spec.name);
  return value === null ? spec.default : checkValue<T>(command, spec, value, value);
}

/** Each value by itself, so that the error names the one at fault. */
function checkList(command: string, spec: OptionSpec, flags: RawFlags): readonly string[] {
  const values = flags.get(spec.name) ?? [];
  return values.flatMap((value) => checkValue<readonly string[]>(command, spec, [value], value));
}

function checkValue<T>(command: string, spec: OptionSpec, value: unknown, shown: string): T {
  const result = spec.schema.safeParse(value);
  if (!result.success) throw usageError(`${flagOf(spec.name)} must be ${spec.expected}, not "${shown}"`, command);
  return result.data as T;
}

function unknownCommand(name: string): AppError {
  const names = COMMANDS.filter((command) => command.hidden !== true).map((command) => command.name);
  const flag = name.startsWith("-");
  const what = flag ? `the option ${name} must come after a command` : `there is no command "${name}"`;
  const [near] = flag ? [] : findNearest(name, names, 1);
  return usageError(near === undefined ? what : `${what}; did you mean ${near}?`, null);
}
