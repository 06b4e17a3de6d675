// A model file's text → what it says, or the error that names file, line and key. Pure but for paths, which it makes
// absolute. What the path in it leads to is looked up elsewhere (locate.ts).

import { basename, dirname, resolve } from "node:path";
import type { z } from "zod";
import { isRecord } from "../../lib/is-record.ts";
import { findNearest } from "../../lib/nearest.ts";
import { type Environment, expandHome } from "../../lib/paths.ts";
import type { ErrorBody } from "../../protocol/errors.ts";
import type { SamplingParams } from "../../protocol/generation.ts";
import type { Capabilities } from "../../protocol/model-info.ts";
import type { EngineChanges, ModelSettings } from "../../protocol/model-settings.ts";
import { isReservedName } from "../name.ts";
import { findKeyLine, findMistakeLine } from "./key-line.ts";
import { listKeys, listWithoutEffect, MODEL_FILE, type ModelFile, SEQUENCES_MAX } from "./schema.ts";

export interface ModelDescription {
  /** The model file itself. Absolute. */
  file: string;
  id: string;
  displayName: string | null;
  modelType: string | null;
  /** As it is written: a path, or a name of a model. */
  target: string;
  /** What is given or taken, as far as the model allows it; `exact`: all else is taken. */
  capabilities: { changes: Partial<Capabilities>; exact: boolean };
  settings: ModelSettings;
  /** Keys that have no effect. */
  withoutEffect: readonly string[];
  /** All that it says, as it was read. */
  content: Readonly<Record<string, unknown>>;
}

/** The largest are some kilobytes; templates and hints may be longer. */
export const MODEL_FILE_BYTES_MAX = 64 * 1024;

/** Values of a file, each counted as often as aliases lead to it: these may be written in a few lines for millions. */
const VALUES_MAX = 20_000;
const DEPTH_MAX = 32;

export const MODEL_FILE_NAME = /\.(json|ya?ml)$/i;

export class ModelFileError extends Error {
  constructor(readonly body: ErrorBody) {
    super(body.message);
  }
}

/** Throws `ModelFileError`. */
export function parseModelFile(file: string, text: string, env: Environment): ModelDescription {
  const content = parseText(file, text);
  const parsed = MODEL_FILE.safeParse(content);
  if (!parsed.success) throw describeIssue(file, text, parsed.error.issues[0], parsed.error.issues.length);
  const model = parsed.data;
  const { settings = {} } = model;
  const wrong = (keys: string[], what: string) => fault(file, findKeyLine(text, keys), `\`${keys.join(".")}\` ${what}`);
  if (isReservedName(model.model_id))
    throw wrong(["model_id"], "asks for a model by itself and can't be the name of one");
  if (model.path.includes("\0")) throw wrong(["path"], "holds a NUL, which no path has");
  if ((settings.parallel ?? 0) + (settings.retained ?? 0) > SEQUENCES_MAX) {
    throw wrong(["settings", "retained"], `and \`settings.parallel\` must not be over ${SEQUENCES_MAX} together`);
  }
  if ((settings.ubatch_size ?? 0) > (settings.batch_size ?? Number.POSITIVE_INFINITY)) {
    throw wrong(["settings", "ubatch_size"], "must not be over `settings.batch_size`");
  }
  const toPath = (path: string): string => resolve(dirname(file), expandHome(path, env));
  return {
    file,
    id: model.model_id,
    displayName: model.display_name ?? null,
    modelType: model.model_type ?? null,
    target: model.path,
    capabilities: readCapabilities(model),
    settings: readSettings(model, toPath),
    withoutEffect: listWithoutEffect(model),
    content,
  };
}

/** What a file that can't be used is called in listings. */
export function guessId(file: string, text: string): string {
  try {
    const id = parseText(file, text).model_id;
    if (MODEL_FILE.shape.model_id.safeParse(id).success) return String(id);
  } catch (thrown) {
    if (!(thrown instanceof ModelFileError)) throw thrown;
  }
  return basename(file).replace(MODEL_FILE_NAME, "");
}

function parseText(file: string, text: string): Record<string, unknown> {
  const isJson = /\.json$/i.test(file);
  const parse: (text: string) => unknown = isJson ? JSON.parse : Bun.YAML.parse;
  let value: unknown;
  try {
    value = parse(text);
  } catch (thrown) {
    // A stack overflow of the parser is one of text that nests too deeply.
    const why = thrown instanceof RangeError ? "it nests too deeply" : (thrown as Error).message;
    // Beginnings of JSON never parse, but its values are YAML as well.
    const line = thrown instanceof RangeError ? null : findMistakeLine(text, Bun.YAML.parse);
    throw fault(file, line, `is no ${isJson ? "JSON" : "YAML"}: ${why}`);
  }
  if (!isRecord(value)) throw fault(file, null, 'must hold keys and values, such as "model_id: my-model"');
  let left = VALUES_MAX;
  const count = (part: unknown, depth: number): void => {
    left -= 1;
    if (left < 0) throw fault(file, null, `holds more than ${VALUES_MAX} values`);
    if (depth > DEPTH_MAX) throw fault(file, null, `nests more than ${DEPTH_MAX} levels deep`);
    if (typeof part !== "object" || part === null) return;
    for (const inner of Object.values(part)) count(inner, depth + 1);
  };
  count(value, 0);
  return value;
}

function describeIssue(file: string, text: string, issue: z.core.$ZodIssue | undefined, count: number): ModelFileError {
  const path = issue?.path ?? [];
  const more = count > 1 ? ` (and ${count - 1} more)` : "";
  if (issue?.code === "unrecognized_keys") {
    const [key = ""] = issue.keys;
    const [near] = findNearest(key, listKeys(path), 1);
    const shown = [...path, key].join(".").slice(0, 100);
    const line = findKeyLine(text, [...path, key]);
    const known = `Known ones are ${listKeys(path).join(", ")}.`;
    const hint = near === undefined ? known : `Did you mean ${near}? ${known}`;
    return fault(file, line, `\`${shown}\` is no key of a model file${more}`, hint, shown);
  }
  const key = path.join(".");
  const what = `${key === "" ? "it" : `\`${key}\``} is wrong: ${issue?.message ?? "it can't be read"}${more}`;
  return fault(file, findKeyLine(text, path), what, KEYS_HINT, key);
}

const KEYS_HINT = "docs/models.md lists the keys.";

function fault(file: string, line: number | null, what: string, hint = KEYS_HINT, key = ""): ModelFileError {
  const at = line === null ? file : `${file}, line ${line}`;
  return new ModelFileError({
    code: "model_damaged",
    message: `the model file ${at}: ${what}`,
    hint: `Correct the file; it is read again by itself. ${hint}`,
    ...(key === "" ? {} : { param: key }),
  });
}

function readCapabilities({ capabilities = {} }: ModelFile): ModelDescription["capabilities"] {
  if (!Array.isArray(capabilities)) return { changes: capabilities, exact: false };
  return { changes: Object.fromEntries(capabilities.map((name) => [name, true])), exact: true };
}

function readSettings({ settings = {}, sampling = {} }: ModelFile, toPath: (path: string) => string): ModelSettings {
  const engine: EngineChanges = withoutUndefined({
    ctx: settings.ctx,
    parallel: settings.parallel,
    threads: settings.threads,
    gpuLayers: settings.gpu_layers,
    deviceShares: settings.device_shares,
    hostExpertLayers: settings.host_expert_layers,
    kvType: settings.kv_type,
    batchSize: settings.batch_size,
    ubatchSize: settings.ubatch_size,
    pooling: settings.pooling,
    contextShift: settings.context_shift,
    retained: settings.retained,
    itlMsMax: settings.itl_max_ms,
    checkpointBytes: settings.checkpoint_bytes,
    kvStore: settings.kv_store,
    speculate: settings.speculate,
    draftModel: settings.draft_model === undefined ? undefined : toPath(settings.draft_model),
    draftMax: settings.draft_max,
    lora: settings.lora?.map(toPath),
    loadTimeoutSeconds: settings.load_timeout,
  });
  const { max_tokens: maxTokens, ...rest } = sampling;
  return {
    engine,
    sampling: readSampling(rest),
    ...withoutUndefined({ sleepAfterSeconds: settings.sleep_after, maxTokens }),
  };
}

/** `top_p` → `topP`: the domain's names are those of requests in another spelling. */
function readSampling(sampling: Omit<NonNullable<ModelFile["sampling"]>, "max_tokens">): SamplingParams {
  const entries = Object.entries(sampling).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    entries.map(([key, value]) => [key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()), value]),
  );
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function withoutUndefined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Defined<T>;
}
