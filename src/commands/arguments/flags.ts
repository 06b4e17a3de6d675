// A command's flags and operands, by its table of options. Pure.

import { findNearest } from "../../lib/nearest.ts";
import { flagOf, type OptionSpec, type RawFlags } from "../../lib/option.ts";
import { AppError } from "../../protocol/errors.ts";
import type { CommandSpec } from "./specs.ts";

export interface ParsedFlags {
  flags: Map<string, string[]>;
  operands: string[];
  help: boolean;
}

/** `--name=value`, `--name value`, `--name` and `--no-name` of booleans; `--` ends the options. */
export function parseFlags(args: readonly string[], spec: CommandSpec): ParsedFlags {
  const parsed: ParsedFlags = { flags: new Map(), operands: [], help: false };
  for (let index = 0; index < args.length; index++) {
    const word = args[index] ?? "";
    if (word === "--") {
      parsed.operands.push(...args.slice(index + 1));
      break;
    }
    if (word === "--help" || word === "-h") parsed.help = true;
    // A lone dash is an operand by custom; so is what does not begin with one.
    else if (!word.startsWith("-") || word === "-") parsed.operands.push(word);
    else if (readFlag(word, args[index + 1], spec, parsed)) index += 1;
  }
  return parsed;
}

/** Returns true when the next word was the flag's value. */
function readFlag(word: string, next: string | undefined, spec: CommandSpec, parsed: ParsedFlags): boolean {
  const equals = word.indexOf("=");
  const flag = equals === -1 ? word : word.slice(0, equals);
  const inline = equals === -1 ? null : word.slice(equals + 1);
  const negated = spec.options.find((option) => option.kind === "boolean" && flag === negationOf(option));
  if (negated !== undefined && inline === null) {
    parsed.flags.set(negated.name, ["false"]);
    return false;
  }
  const option = spec.options.find((candidate) => flagOf(candidate.name) === flag);
  if (option === undefined) throw unknownFlag(flag, spec);
  if (option.kind === "boolean") {
    parsed.flags.set(option.name, [inline ?? "true"]);
    return false;
  }
  const value = inline ?? next;
  // `--host --port 1` is a forgotten value; one that does begin with two dashes can be given by `=`.
  if (value === undefined || (inline === null && value.startsWith("--"))) {
    throw usageError(`${flag} needs a value: ${flag} ${option.placeholder} (${option.expected})`, spec.name);
  }
  parsed.flags.set(option.name, [...(parsed.flags.get(option.name) ?? []), value]);
  return inline === null;
}

function negationOf(option: OptionSpec): string {
  return flagOf(`no_${option.name}`);
}

export function lastOf(flags: RawFlags, name: string): string | null {
  return flags.get(name)?.at(-1) ?? null;
}

export function isOn(flags: RawFlags, name: string): boolean {
  const value = lastOf(flags, name);
  if (value === null) return false;
  if (["true", "1", "yes", "on"].includes(value.toLowerCase())) return true;
  if (["false", "0", "no", "off"].includes(value.toLowerCase())) return false;
  throw usageError(`${flagOf(name)} must be true or false, not "${value}"`, null);
}

function unknownFlag(flag: string, spec: CommandSpec): AppError {
  const known = spec.options.flatMap((option) =>
    option.kind === "boolean" ? [flagOf(option.name), negationOf(option)] : [flagOf(option.name)],
  );
  const [near] = findNearest(flag, known, 1);
  const what = `"${spec.name}" has no option ${flag}`;
  return usageError(near === undefined ? what : `${what}; did you mean ${near}?`, spec.name);
}

export function usageError(message: string, topic: string | null): AppError {
  const command = topic === null ? "ml-offload --help" : `ml-offload ${topic} --help`;
  return new AppError({ code: "invalid_request", message, hint: `${command} shows what there is.` });
}
