// Every command with its options, declaratively: argv.ts parses by it and help.ts prints it.
// The settings of `serve` come from config.ts; the rest are options of one command.

import { SERVE_OPTIONS } from "../../config.ts";
import { factsOf, PLAIN_TYPES, QUANTIZED_TYPES } from "../../convert/out-types.ts";
import {
  booleanOption,
  choiceOption,
  integerOption,
  listOption,
  type OptionSpec,
  pathOption,
  secondsOption,
  sizeOption,
  textOption,
} from "../../lib/option.ts";
import { HIDDEN_COMMANDS } from "./hidden-specs.ts";
import { MANAGE_COMMANDS } from "./manage-specs.ts";
import { BUDGET_OPTIONS, listPlanCommands } from "./plan-specs.ts";

export interface CommandSpec {
  name: string;
  /** What follows the name, such as `MODEL [PROMPT]`. */
  operands: string;
  operandsMax: number;
  summary: string;
  options: readonly OptionSpec[];
  /** Lines that end the command's help. */
  notes: readonly string[];
  /** Left out of the help: for our own child processes. */
  hidden?: boolean;
}

const text = (name: string, placeholder: string, description: string) => ({ name, placeholder, description });

const configFile = textOption(
  text("config", "FILE", "Config file to read instead of the standard one"),
  /./,
  "a path",
  "",
);

const JSON_OPTION = booleanOption("json", "Print JSON for a machine to read");

export const RUN_OPTIONS = {
  server: textOption(
    text("server", "URL", "Ask a running server instead of starting one in this process"),
    /^https?:\/\/\S+$/,
    "a URL such as http://127.0.0.1:9000",
    "",
  ),
  apiKey: textOption(text("api_key", "KEY", "Key to send to that server"), /^\S+$/, "a key without spaces", ""),
  system: textOption(text("system", "TEXT", "System prompt"), /^[\s\S]*$/, "text", ""),
  maxTokens: integerOption(text("max_tokens", "N", "Most tokens of an answer; 0 is no limit"), 0, 2 ** 31 - 1, 0),
  // Not seconds, but the same kind of number: a fraction with bounds.
  temperature: {
    ...secondsOption(text("temperature", "T", "0 is greedy"), 0, 100, 0.8),
    expected: "a number from 0 to 100",
  },
  json: { ...JSON_OPTION, description: "Print one JSON object instead of streaming text" },
};

const SHOW_OPTIONS = {
  tensors: booleanOption("tensors", "List all tensors too"),
  json: { ...JSON_OPTION, description: "Print one JSON object with everything" },
};

export const BENCH_OPTIONS = {
  url: listOption(
    text("url", "URL", "Server to measure; repeatable, the first one is compared with each other"),
    /^https?:\/\/\S+$/,
    "a URL such as http://127.0.0.1:9000",
  ),
  scenario: listOption(text("scenario", "NAME", "Scenario to run; repeatable, all by default"), /^[a-z-]+$/, "a name"),
  runs: integerOption(text("runs", "N", "Runs of each scenario; medians are printed"), 1, 1000, 5),
  model: textOption(text("model", "NAME", "Model to ask; by default the server's own default"), /^\S+$/, "a name", ""),
  apiKey: RUN_OPTIONS.apiKey,
  seed: textOption(text("seed", "TEXT", "Repeat a run's prompts; by default new ones"), /^\S+$/, "a word", ""),
  json: { ...JSON_OPTION, description: "Print JSON with the figure of every run" },
};

export const CONVERT_OPTIONS = {
  outType: textOption(
    text("outtype", "TYPE", "Type of the weights; auto: bf16 where they are that, else f16"),
    /^\w+$/,
    "a type such as q4_k_m",
    "auto",
  ),
  imatrix: textOption(
    text("imatrix", "FILE", "Importance matrix of llama-imatrix, for better small types"),
    /./,
    "a path",
    "",
  ),
  allowRequantize: booleanOption("allow_requantize", "Also take a GGUF that is quantised already, which loses more"),
  force: booleanOption("force", "Replace a file that is there"),
  json: { ...JSON_OPTION, description: "Print each step as one line of JSON" },
  stopWithStdin: booleanOption("stop_with_stdin", "Stop when standard input ends, for programs that start it"),
  base: pathOption(text("base", "PATH", "Of a LoRA adapter: the folder of its base model, or a GGUF of it")),
};

const PULL_OPTIONS = {
  convert: booleanOption("convert", "Make a GGUF file of weights that are none"),
  outType: CONVERT_OPTIONS.outType,
  companions: booleanOption("companions", "Also take a projector, a draft model and the adapters that it has"),
  json: { ...JSON_OPTION, description: "Print each step as one line of JSON" },
};

export const SEARCH_OPTIONS = {
  task: choiceOption(
    text("task", "TASK", "What the models are for"),
    ["any", "chat", "embedding", "rerank", "vision"],
    "any",
  ),
  can: choiceOption(
    text("can", "CAPABILITY", "What their chat templates speak of"),
    ["any", "tools", "reasoning"],
    "any",
  ),
  minSize: sizeOption(text("min_size", "SIZE", "Only models of at least this size, such as 2GB")),
  maxSize: sizeOption(text("max_size", "SIZE", "Only models of at most this size, such as 8GB")),
  fits: booleanOption("fits", "Only models that fit into memory"),
  limit: integerOption(text("limit", "N", "Most repositories to show"), 1, 50, 10),
  json: JSON_OPTION,
};

/** Settings of `serve` that also mean something to the server that `run` starts in its own process. */
const ENGINE_OPTIONS: readonly OptionSpec[] = [
  SERVE_OPTIONS.modelsDir,
  SERVE_OPTIONS.discover,
  SERVE_OPTIONS.convertType,
  SERVE_OPTIONS.convertCacheBytes,
  SERVE_OPTIONS.lora,
  SERVE_OPTIONS.ctx,
  SERVE_OPTIONS.memoryBudgetBytes,
  SERVE_OPTIONS.threads,
  SERVE_OPTIONS.backend,
  SERVE_OPTIONS.gpuLayers,
  SERVE_OPTIONS.deviceShares,
  SERVE_OPTIONS.hostExpertLayers,
  SERVE_OPTIONS.kvType,
  SERVE_OPTIONS.batchSize,
  SERVE_OPTIONS.ubatchSize,
  SERVE_OPTIONS.kvStore,
  SERVE_OPTIONS.kvStoreBytes,
  SERVE_OPTIONS.loadTimeoutSeconds,
  SERVE_OPTIONS.logLevel,
  SERVE_OPTIONS.logFormat,
];

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: "serve",
    operands: "[PATH...]",
    operandsMax: 1024,
    summary: "Serve models over HTTP",
    options: [
      ...Object.values(SERVE_OPTIONS),
      configFile,
      booleanOption("print_config", "Print every setting and where it comes from, then end"),
      { ...JSON_OPTION, description: "With --print-config: print JSON" },
    ],
    notes: [
      "A PATH is the same as --model PATH.",
      "Each setting is also a key of the config file (snake_case) and an environment variable",
      "(ML_OFFLOAD_PORT for --port). Flags win over variables, those over the file.",
      "In a variable, several paths are separated like those in PATH, other lists by commas.",
    ],
  },
  {
    name: "run",
    operands: "MODEL [PROMPT...]",
    operandsMax: 1024,
    summary: "Chat with a model in the terminal",
    options: [...Object.values(RUN_OPTIONS), ...ENGINE_OPTIONS, configFile],
    notes: [
      "MODEL is a model's name or the path of a GGUF file.",
      "Text on stdin is part of the prompt. Ctrl-C stops the answer; twice at the prompt ends the chat.",
    ],
  },
  {
    name: "convert",
    operands: "SRC [DST]",
    operandsMax: 2,
    summary: "Make a GGUF file of a SafeTensors or PyTorch folder, or of a GGUF",
    options: Object.values(CONVERT_OPTIONS),
    notes: [
      "SRC is a folder with config.json, a tokenizer and model*.safetensors or pytorch_model*.bin; a GGUF file in",
      "f32, f16 or bf16; or the folder of a PEFT LoRA adapter, with --base, which becomes a file for serve --lora.",
      `Types: auto ${PLAIN_TYPES.join(" ")}, and by llama.cpp's quantiser`,
      QUANTIZED_TYPES.filter((type) => !factsOf(type).needsImatrix).join(" "),
      `and with an --imatrix also ${QUANTIZED_TYPES.filter((type) => factsOf(type).needsImatrix).join(" ")}.`,
      "q4_k_m is the usual one: less than a third of f16, and nearly as good; q6_k and q8_0 are closer still.",
      "DST is a file or a folder; without it the file is put where serve finds it: the data folder's models/.",
      "The path of the file is printed on stdout, all else on stderr. docs/converting.md lists what is converted.",
    ],
  },
  {
    name: "show",
    operands: "PATH|NAME [FILTER]",
    operandsMax: 2,
    summary: "Tell what a model file or folder is, and whether it runs",
    options: [...Object.values(SHOW_OPTIONS), SERVE_OPTIONS.modelsDir, ...BUDGET_OPTIONS, configFile],
    notes: [
      "FILTER is a part of the metadata keys and tensor names to print.",
      "hf:owner/repo[:tag], and such a name that is not here, is a model of the Hugging Face Hub: its headers are",
      "read without downloading it, and it is told whether it fits here.",
      "docs/formats.md lists the formats that are told apart, and what to do about each.",
    ],
  },
  {
    name: "pull",
    operands: "MODEL",
    operandsMax: 1,
    summary: "Download a model into the models folder",
    options: [...Object.values(PULL_OPTIONS), ...BUDGET_OPTIONS, configFile],
    notes: [
      "MODEL is owner/repo or owner/repo:TAG of the Hugging Face Hub, or the address of a GGUF file.",
      "Without a TAG it is the largest quantisation that fits into memory; of a repository without GGUF files,",
      "the weights that can be converted (TAG safetensors). The same command goes on with what an earlier one left.",
      "HF_TOKEN, HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE are respected.",
    ],
  },
  {
    name: "search",
    operands: "[WORDS...]",
    operandsMax: 32,
    summary: "Search the Hugging Face Hub for models that could be downloaded",
    options: [...Object.values(SEARCH_OPTIONS), ...BUDGET_OPTIONS, configFile],
    notes: ["Of each repository it tells the largest model that fits into memory, which is what pull takes."],
  },
  ...MANAGE_COMMANDS,
  ...listPlanCommands(ENGINE_OPTIONS, configFile),
  {
    name: "bench",
    operands: "",
    operandsMax: 0,
    summary: "Measure OpenAI-compatible servers side by side",
    options: Object.values(BENCH_OPTIONS),
    notes: [
      "Without a --url it measures http://127.0.0.1:9000. Servers take turns within each run.",
      "docs/performance.md describes the scenarios:",
      "single-stream eight-streams shared-prefix stall flood requests-per-second interleaved",
      "growth-streams growth-prompts growth-retained (growth: all three).",
    ],
  },
  {
    name: "devices",
    operands: "",
    operandsMax: 0,
    summary: "Tell what this machine has: GPUs, memory, processors, power",
    options: [JSON_OPTION, booleanOption("watch", "Go on until Ctrl-C, every two seconds")],
    notes: ["What can't be read is left out; --json says why."],
  },
  {
    name: "licenses",
    operands: "",
    operandsMax: 0,
    summary: "Print the licenses of ml-offload and of what it contains",
    options: [],
    notes: [],
  },
  {
    name: "version",
    operands: "",
    operandsMax: 0,
    summary: "Print the version (also --version)",
    options: [JSON_OPTION],
    notes: [],
  },
  {
    name: "help",
    operands: "[COMMAND]",
    operandsMax: 1,
    summary: "Print this text, or a command's (also COMMAND --help)",
    options: [],
    notes: [],
  },
  ...HIDDEN_COMMANDS,
];

export function findCommand(name: string): CommandSpec | undefined {
  return COMMANDS.find((command) => command.name === name);
}
