// The settings of `serve`: one table of options. Flags, environment variables, config file and help
// all come from it, so they can't drift. The result is frozen and knows where each value came from.
// Reads the config file; nothing else here touches the system.

import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { z } from "zod";
import { ANSWERING_OPTIONS } from "./config/answering.ts";
import { BACKEND_OPTIONS } from "./config/backend.ts";
import { CONVERTING_OPTIONS } from "./config/converting.ts";
import { describeGuessing, GUESS_OPTIONS } from "./config/guessing.ts";
import { NAMING_OPTIONS } from "./config/naming.ts";
import { PLACE_OPTIONS } from "./config/places.ts";
import { PLACING_OPTIONS } from "./config/placing.ts";
import { LOG_FORMATS, LOG_LEVELS } from "./lib/log.ts";
import { findNearest } from "./lib/nearest.ts";
import {
  booleanOption,
  choiceOption,
  integerOption,
  listOption,
  type OptionSpec,
  pathsOption,
  type RawFlags,
  resolvePaths,
  secondsOption,
  switchOption,
  textOption,
  variableOf,
} from "./lib/option.ts";
import { type Origin, pickRaw, type RawValue } from "./lib/option-source.ts";
import { type Environment, expandHome, type Folders } from "./lib/paths.ts";
import { AppError } from "./protocol/errors.ts";

const INT32_MAX = 2 ** 31 - 1;
const DAY_SECONDS = 86_400;
/** Half a frame between server and engine: JSON escapes may double a body (protocol/messages.ts). */
const BODY_BYTES_MAX = 32 * 1024 * 1024;
/** llama.cpp's limit of sequence ids (LLAMA_MAX_SEQ). */
const SEQUENCE_IDS = 256;
const text = (name: string, placeholder: string, description: string) => ({ name, placeholder, description });

export const SERVE_OPTIONS = {
  host: textOption(text("host", "HOST", "Address to listen on"), /^\S+$/, "a host name or address", "127.0.0.1"),
  port: integerOption(text("port", "PORT", "Port to listen on; 0 takes any free one"), 0, 65_535, 9000),
  model: pathsOption(
    text("model", "PATH", "GGUF file to serve; repeatable, the first one is the default model"),
    () => [],
  ),
  modelsDir: pathsOption(text("models_dir", "DIR", "Folder to search for GGUF files; repeatable"), (folders) => [
    join(folders.data, "models"),
  ]),
  ...PLACE_OPTIONS,
  ...NAMING_OPTIONS,
  ...CONVERTING_OPTIONS,
  lora: pathsOption(
    text("lora", "FILE[=SCALE]", "LoRA adapter of the default model; repeatable, the scale is 1 unless given"),
    () => [],
  ),
  ctx: integerOption(text("ctx", "N", "KV tokens of an engine, for all sequences; 0 is automatic"), 0, INT32_MAX, 0),
  // One sequence id is the engine's own, for scratch work.
  parallel: integerOption(
    text("parallel", "N", "Sequences that decode at once; further requests queue; 0 is automatic"),
    0,
    SEQUENCE_IDS - 1,
    0,
  ),
  retained: integerOption(text("retained", "N", "Ended sequences whose state stays in memory; 0 is none"), 0, 250, 64),
  itlMsMax: integerOption(
    text("itl_max_ms", "MS", "Longest gap in a stream that other prompts may cause; 0 is automatic"),
    0,
    60_000,
    0,
  ),
  ...GUESS_OPTIONS,
  kvStore: switchOption({ name: "kv_store", description: "Keep the state of prompts on disk" }, true),
  // Less would not hold one conversation of a small model.
  kvStoreBytes: integerOption(
    text("kv_store_bytes", "BYTES", "Disk space for that"),
    64 * 1024 ** 2,
    1024 ** 5,
    10 * 1024 ** 3,
  ),
  checkpointBytes: integerOption(
    text("checkpoint_bytes", "BYTES", "Memory of an engine for recurrent states; 0 is automatic"),
    0,
    1024 ** 5,
    0,
  ),
  ...ANSWERING_OPTIONS,
  sleepAfterSeconds: secondsOption(
    text("sleep_after", "SECONDS", "Stop an engine without requests after this time; 0 is never"),
    0,
    DAY_SECONDS,
    0,
  ),
  ...BACKEND_OPTIONS,
  // 512 is ggml's limit (GGML_MAX_N_THREADS).
  threads: integerOption(text("threads", "N", "CPU threads of an engine; 0 is automatic"), 0, 512, 0),
  ...PLACING_OPTIONS,
  batchSize: integerOption(text("batch_size", "N", "Most tokens of one decoding step"), 1, 65_536, 2048),
  ubatchSize: integerOption(text("ubatch_size", "N", "Most tokens computed at once within a step"), 1, 65_536, 512),
  requestTimeoutSeconds: secondsOption(
    text("request_timeout", "SECONDS", "Longest time of a request; 0 is no limit"),
    0,
    DAY_SECONDS,
    0,
  ),
  loadTimeoutSeconds: secondsOption(
    text("load_timeout", "SECONDS", "Longest time that a model may take to load"),
    1,
    DAY_SECONDS,
    600,
  ),
  bodyLimitBytes: integerOption(
    text("body_limit", "BYTES", "Largest request body"),
    1024,
    BODY_BYTES_MAX,
    BODY_BYTES_MAX,
  ),
  corsOrigin: listOption(
    text("cors_origin", "ORIGIN", "Web origin that may call; repeatable, * is every one"),
    /^(\*|null|[a-z][a-z0-9+.-]*:\/\/\S+)$/i,
    "an origin such as https://example.org, or *",
  ),
  allowedHost: listOption(
    text("allowed_host", "HOST", "Further Host header to accept; repeatable, * is every one"),
    /^[^\s/]+$/,
    "a host name without a scheme or path",
  ),
  logLevel: choiceOption(text("log_level", "LEVEL", "Least severe log lines to write to stderr"), LOG_LEVELS, "info"),
  logFormat: choiceOption(text("log_format", "FORMAT", "Log lines for people or for machines"), LOG_FORMATS, "text"),
  readyJson: booleanOption("ready_json", "Print one JSON line {url,pid,version} on stdout once it listens"),
  exitWithParent: booleanOption("exit_with_parent", "End when the process that started it ends"),
};

type Table = typeof SERVE_OPTIONS;
export type ConfigKey = keyof Table;
/** Lists are arrays, `ctx` and `threads` 0 mean automatic, `gpuLayers` -1 means all. */
export type ServeConfig = { readonly [K in ConfigKey]: z.output<Table[K]["schema"]> };

export interface ResolvedConfig {
  values: ServeConfig;
  origins: Readonly<Record<ConfigKey, Origin>>;
  /** The config file that was read; null when there is none. */
  filePath: string | null;
  /** Probable mistakes that are no errors, such as a misspelt environment variable. */
  warnings: readonly string[];
}

export interface ConfigFile {
  path: string;
  text: string;
}

export interface ConfigSources {
  flags: RawFlags;
  env: Environment;
  folders: Folders;
  /** Relative paths of flags and variables start here; those of the file start at its folder. */
  cwd: string;
}

/** Variables that are ours but not settings of `serve`: they are read elsewhere. */
const OTHER_VARIABLES = ["ML_OFFLOAD_CONFIG", "ML_OFFLOAD_LLAMA_SRC", "ML_OFFLOAD_CUDA_LIBS", "ML_OFFLOAD_NATIVE_DIR"];

/**
 * Reads the config file (`explicitPath`, else `ML_OFFLOAD_CONFIG`, else the standard one if it is there)
 * and resolves. Throws `invalid_request` with the name at fault and what is allowed.
 */
export function loadConfig(sources: ConfigSources, explicitPath: string | null = null): ResolvedConfig {
  const named = explicitPath ?? (sources.env.ML_OFFLOAD_CONFIG || null);
  const path = named === null ? join(sources.folders.config, "config.yaml") : resolve(sources.cwd, named);
  try {
    return resolveConfig(sources, { path, text: readFileSync(path, "utf8") });
  } catch (thrown) {
    if (!(thrown instanceof Error) || thrown instanceof AppError || !("code" in thrown)) throw thrown;
    // ENOTDIR too: a service's HOME is often /dev/null.
    const isAbsent = thrown.code === "ENOENT" || thrown.code === "ENOTDIR";
    if (isAbsent && named === null) return resolveConfig(sources, null);
    throw invalid(`the config file ${path} can't be read: ${thrown.message}`);
  }
}

/** Pure: flags over environment over file over defaults. */
export function resolveConfig(sources: ConfigSources, file: ConfigFile | null): ResolvedConfig {
  const fileValues = file === null ? {} : parseConfigFile(file);
  const values: Record<string, unknown> = {};
  const origins: Record<string, Origin> = {};
  for (const [key, spec] of Object.entries<OptionSpec>(SERVE_OPTIONS)) {
    const raw = pickRaw(spec, sources, fileValues);
    origins[key] = raw.origin;
    const base = raw.origin === "file" && file !== null ? dirname(file.path) : sources.cwd;
    values[key] =
      raw.origin === "default" ? raw.value : check(spec, raw, (path) => resolvePath(path, base, sources.env));
    if (Array.isArray(values[key])) Object.freeze(values[key]);
  }
  const config = checkTogether(values as ServeConfig, origins);
  return {
    values: config,
    origins: Object.freeze(origins) as Record<ConfigKey, Origin>,
    filePath: file?.path ?? null,
    warnings: Object.freeze(findMisspeltVariables(sources.env)),
  };
}

/** What no setting can be checked for alone. */
function checkTogether(config: ServeConfig, origins: Record<string, Origin>): ServeConfig {
  const { parallel, retained, ubatchSize, batchSize } = config;
  if (ubatchSize > batchSize) {
    throw invalid(`--ubatch-size (${ubatchSize}) must not be over --batch-size (${batchSize})`);
  }
  describeGuessing(config);
  const room = SEQUENCE_IDS - 1 - parallel;
  if (retained <= room) return Object.freeze(config);
  // Nobody who asks for many sequences need know of a number that he did not give.
  if (origins.retained === "default") return Object.freeze({ ...config, retained: room });
  const most = `llama.cpp has ${SEQUENCE_IDS} sequences, one of which is the engine's own`;
  throw invalid(
    `--parallel (${parallel}) and --retained (${retained}) must not be over ${SEQUENCE_IDS - 1} together: ${most}`,
  );
}

function check(spec: OptionSpec, raw: RawValue, toPath: (path: string) => string): unknown {
  const result = spec.schema.safeParse(raw.value);
  if (!result.success) {
    const at = result.error.issues[0]?.path[0];
    const wrong = Array.isArray(raw.value) && typeof at === "number" ? raw.value[at] : raw.value;
    throw invalid(`${raw.label} must be ${spec.expected}, not ${JSON.stringify(wrong) ?? String(wrong)}`);
  }
  return spec.paths === true ? resolvePaths(result.data, toPath) : result.data;
}

function resolvePath(path: string, base: string, env: Environment): string {
  return resolve(base, expandHome(path, env));
}

function parseConfigFile(file: ConfigFile): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = Bun.YAML.parse(file.text);
  } catch (thrown) {
    throw invalid(`${file.path} is not valid YAML: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
  if (parsed === null || parsed === undefined) return {};
  if (typeof parsed !== "object" || Array.isArray(parsed)) {
    throw invalid(`${file.path} must hold "key: value" lines, such as "port: 9000"`);
  }
  const names = Object.values<OptionSpec>(SERVE_OPTIONS).map((spec) => spec.name);
  for (const key of Object.keys(parsed)) {
    if (!names.includes(key)) throw invalid(`${file.path} has the unknown key "${key}"${suggest(key, names)}`);
  }
  return parsed as Record<string, unknown>;
}

function findMisspeltVariables(env: Environment): string[] {
  const known = [...Object.values<OptionSpec>(SERVE_OPTIONS).map((spec) => variableOf(spec)), ...OTHER_VARIABLES];
  return Object.keys(env)
    .filter((name) => name.startsWith("ML_OFFLOAD_") && !known.includes(name))
    .map((name) => `the environment variable ${name} is not known and has no effect${suggest(name, known)}`);
}

function suggest(name: string, known: readonly string[]): string {
  const [near] = findNearest(name, known, 1);
  return near === undefined ? "" : `; did you mean ${near}?`;
}

function invalid(message: string): AppError {
  return new AppError({ code: "invalid_request", message, hint: "ml-offload serve --help shows every setting." });
}

/** For `serve --print-config`: a valid config file with each value's origin as a comment, or JSON. */
export function formatConfig(config: ResolvedConfig, json: boolean): string {
  const keys = Object.keys(SERVE_OPTIONS) as ConfigKey[];
  const rows = keys.map((key) => ({
    name: SERVE_OPTIONS[key].name,
    value: config.values[key],
    origin: config.origins[key],
  }));
  if (json) {
    const settings = Object.fromEntries(rows.map(({ name, value, origin }) => [name, { value, origin }]));
    return `${JSON.stringify({ file: config.filePath, settings }, null, 2)}\n`;
  }
  const head = config.filePath === null ? "# no config file was read" : `# config file: ${config.filePath}`;
  const lines = rows.map(({ name, value, origin }) => `${`${name}: ${JSON.stringify(value)}`.padEnd(40)} # ${origin}`);
  return `${[head, ...lines].join("\n")}\n`;
}
