// The help texts, made from the table of commands, so they show what the parser takes. Pure.

import { flagOf, type OptionSpec } from "../lib/option.ts";
import { COMMANDS, type CommandSpec, findCommand } from "./arguments/specs.ts";

/** The general help, or a command's. An unknown topic gets the general one: argv.ts has refused it before. */
export function renderHelp(topic: string | null): string {
  const command = topic === null ? undefined : findCommand(topic);
  return command === undefined ? renderOverview() : renderCommand(command);
}

function renderOverview(): string {
  const shown = COMMANDS.filter((command) => command.hidden !== true);
  const width = Math.max(...shown.map((command) => usageOf(command).length));
  const lines = shown.map((command) => `  ${usageOf(command).padEnd(width)}  ${command.summary}`);
  return [
    "ml-offload serves local language models.",
    "",
    "Usage: ml-offload COMMAND [OPTIONS]",
    "",
    ...lines,
    "",
    "ml-offload COMMAND --help shows the options of a command.",
    "",
  ].join("\n");
}

function usageOf(command: CommandSpec): string {
  return command.operands === "" ? command.name : `${command.name} ${command.operands}`;
}

function renderCommand(command: CommandSpec): string {
  const rows = command.options.map((option) => ({ left: leftSide(option), option }));
  const width = Math.max(0, ...rows.map((row) => row.left.length));
  const lines = rows.map((row) => `  ${row.left.padEnd(width)}  ${row.option.description}${standardOf(row.option)}`);
  return [
    `${command.summary}.`,
    "",
    `Usage: ml-offload ${usageOf(command)}${lines.length > 0 ? " [OPTIONS]" : ""}`,
    ...(lines.length > 0 ? ["", ...lines] : []),
    ...(command.notes.length > 0 ? ["", ...command.notes] : []),
    "",
  ].join("\n");
}

function leftSide(option: OptionSpec): string {
  return option.placeholder === "" ? flagOf(option.name) : `${flagOf(option.name)} ${option.placeholder}`;
}

/** The default where it is a plain value; `one of …` where there is a choice. */
function standardOf(option: OptionSpec): string {
  const choice = option.expected.startsWith("one of ") ? `${option.expected.slice("one of ".length)}; ` : "";
  const standard = option.default;
  const plain = typeof standard === "number" || (typeof standard === "string" && standard !== "");
  if (option.name === "models_dir") return " (default: the data folder's models/)";
  if (option.name === "model_config_dir") return " (default: the configuration folder's models/)";
  if (standard === true) return " (default on)";
  return plain ? ` (${choice}default ${standard})` : "";
}
