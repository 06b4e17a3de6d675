// Which pooling an embedding model was trained with, from the files that sentence-transformers puts beside it.

import { isRecord } from "../lib/is-record.ts";
import { AppError } from "../protocol/errors.ts";
import { damagedModel, Fields, readJsonFile, readTextFile } from "./json-file.ts";

const MODULES_FILE = "modules.json";
/** llama.cpp's numbers. */
const BY_FLAG: readonly [string, number][] = [
  ["pooling_mode_mean_tokens", 1],
  ["pooling_mode_cls_token", 2],
  ["pooling_mode_lasttoken", 3],
];
const BY_NAME: ReadonlyMap<string, number> = new Map([
  ["mean", 1],
  ["cls", 2],
  ["lasttoken", 3],
]);

/** Null where the folder says nothing. */
export function readPooling(folder: string): number | null {
  const path = findPoolingFolder(folder);
  if (path === null) return null;
  const file = readJsonFile(folder, `${path}/config.json`);
  if (file === null) throw damagedModel(`${path}/config.json, which ${MODULES_FILE} names, is missing`);
  const flagged = BY_FLAG.find(([flag]) => file.truth(flag) === true);
  const pooling = flagged?.[1] ?? BY_NAME.get(file.text("pooling_mode") ?? "");
  if (pooling !== undefined) return pooling;
  throw new AppError({
    code: "format_unsupported",
    message: `${path}/config.json names a pooling other than mean, cls and lasttoken`,
    hint: "llama.cpp has no other pooling; the model can't be converted.",
  });
}

/** What stands behind the pooling and is not computed: vectors are normalised by whoever asks for them. */
export function noteModules(folder: string): string[] {
  const others = listModules(folder).flatMap((module) => {
    const kind = module.text("type")?.split(".").at(-1) ?? "unknown";
    return ["Transformer", "Pooling", "Normalize"].includes(kind) ? [] : [kind.slice(0, 40)];
  });
  if (others.length === 0) return [];
  return [`${MODULES_FILE} puts ${others.join(", ")} behind the model, which llama.cpp leaves out: embeddings differ`];
}

function findPoolingFolder(folder: string): string | null {
  const pooling = listModules(folder).find((module) => module.text("type")?.endsWith("Pooling") === true);
  if (pooling === undefined) return null;
  const path = pooling.text("path") ?? "";
  // The list is data from elsewhere: it must not lead out of the folder.
  if (!/^[\w-]+$/.test(path)) throw damagedModel(`${MODULES_FILE} names a folder outside of the model's`);
  return path;
}

/** Models have three or four. */
const MODULES_MAX = 64;

/** What sentence-transformers puts one behind the other; empty where the folder does not say. */
export function listModules(folder: string): Fields[] {
  const text = readTextFile(folder, MODULES_FILE);
  if (text === null) return [];
  let modules: unknown;
  try {
    modules = JSON.parse(text);
  } catch (thrown) {
    throw damagedModel(`${MODULES_FILE} is not JSON: ${String(thrown).slice(0, 120)}`);
  }
  if (!Array.isArray(modules)) throw damagedModel(`${MODULES_FILE} holds no list`);
  return modules
    .slice(0, MODULES_MAX)
    .flatMap((module) => (isRecord(module) ? [new Fields(MODULES_FILE, module)] : []));
}
