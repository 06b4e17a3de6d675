// The folder of model files: reads those that are there, each on its own, so that a wrong one costs nobody else. What they
// say of models is used elsewhere (describe.ts).

import { readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Environment } from "../../lib/paths.ts";
import type { ErrorBody } from "../../protocol/errors.ts";
import { type FoundModels, messageOf, statOrError } from "../found.ts";
import { listFolder } from "../places/list-folder.ts";
import { type MachineFacts, UNKNOWN_MACHINE } from "./machine.ts";
import {
  guessId,
  MODEL_FILE_BYTES_MAX,
  MODEL_FILE_NAME,
  type ModelDescription,
  ModelFileError,
  parseModelFile,
} from "./parse.ts";
import { withTemplate } from "./template-file.ts";

export interface ModelFileFault {
  file: string;
  /** What it would be called. */
  id: string;
  error: ErrorBody;
}

export type ModelFileRead = { description: ModelDescription } | { fault: ModelFileFault };

export interface ModelFileOptions {
  folder: string;
  /** For `~`. */
  env: Environment;
  /** By which requirements are judged and tiers are chosen; absent: nothing is known. */
  machine?: () => MachineFacts;
}

/** Each is a model of its own; nobody describes more by hand. */
const FILES_MAX = 1_024;

interface KnownFile {
  version: string;
  read: ModelFileRead;
  /** Read along with it: see template-file.ts. */
  templateFile: string | null;
}

export class ModelFileFolder {
  readonly #options: ModelFileOptions;
  /** By path; read again when size or date have changed. */
  #known = new Map<string, KnownFile>();
  #machine = UNKNOWN_MACHINE;

  constructor(options: ModelFileOptions) {
    this.#options = { ...options, folder: resolve(options.folder) };
  }

  /** In the order of their names; a folder that is not there has none. `found` is told what to watch and what was left out. */
  read(found: FoundModels): ModelFileRead[] {
    const { folder, env } = this.#options;
    this.#lookAtMachine();
    const names = listFolder(found, folder).filter((name) => MODEL_FILE_NAME.test(name));
    if (names.length > FILES_MAX) found.warn(`of ${folder} only ${FILES_MAX} of ${names.length} model files are read`);
    const fresh = new Map<string, KnownFile>();
    for (const name of names.slice(0, FILES_MAX)) {
      const file = join(folder, name);
      const known = this.#known.get(file);
      const isSame = known !== undefined && known.version === versionOf(file, known.templateFile);
      const now = isSame ? known : readAnew(file, env, this.#machine);
      fresh.set(file, now);
      if (now.templateFile !== null) found.folders.add(dirname(now.templateFile));
      if ("fault" in now.read) found.warn(now.read.fault.error.message);
    }
    this.#known = fresh;
    return refuseRepeated([...fresh.values()].map(({ read }) => read));
  }

  /** A container's limit may be moved while we run: all files are judged anew then. */
  #lookAtMachine(): void {
    const { machine = () => UNKNOWN_MACHINE } = this.#options;
    const now = machine();
    if (Bun.deepEquals(now, this.#machine)) return;
    this.#machine = now;
    this.#known.clear();
  }
}

function versionOf(...files: readonly (string | null)[]): string {
  const versions = files.map((file) => {
    const stats = file === null ? null : statOrError(file);
    return stats === null || "code" in stats ? (stats?.code ?? "") : `${stats.size}:${stats.mtimeMs}:${stats.ino}`;
  });
  return versions.join(" ");
}

function readAnew(file: string, env: Environment, machine: MachineFacts): KnownFile {
  // Before it is read: what changes meanwhile is then seen the next time.
  const before = versionOf(file);
  const { read, templateFile } = readModelFile(file, env, machine);
  return { version: `${before} ${versionOf(templateFile)}`, read, templateFile };
}

/** A mistake in it is a result. */
function readModelFile(
  file: string,
  env: Environment,
  machine: MachineFacts,
): Pick<KnownFile, "read" | "templateFile"> {
  const stats = statOrError(file);
  const refuse = (message: string): ReturnType<typeof readModelFile> => {
    const error: ErrorBody = { code: "model_damaged", message, hint: "docs/models.md says what a model file is." };
    const read = { fault: { file, id: basename(file).replace(MODEL_FILE_NAME, ""), error } };
    return { read, templateFile: null };
  };
  if ("code" in stats) return refuse(`the model file ${file} can't be read: ${stats.message}`);
  if (!stats.isFile()) return refuse(`the model file ${file} is not a regular file`);
  if (stats.size > MODEL_FILE_BYTES_MAX) {
    return refuse(`the model file ${file} has ${stats.size} bytes; at most ${MODEL_FILE_BYTES_MAX} are read`);
  }
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (thrown) {
    return refuse(`the model file ${file} can't be read: ${messageOf(thrown)}`);
  }
  let templateFile: string | null = null;
  try {
    const description = parseModelFile(file, text, env, machine);
    templateFile = description.templateFile;
    return { read: { description: withTemplate(description, text) }, templateFile };
  } catch (thrown) {
    if (!(thrown instanceof ModelFileError)) throw thrown;
    return { read: { fault: { file, id: guessId(file, text), error: thrown.body } }, templateFile };
  }
}

/** Two of one name can't both be asked for: the first one stays. */
function refuseRepeated(reads: readonly ModelFileRead[]): ModelFileRead[] {
  const first = new Map<string, string>();
  return reads.map((read) => {
    if ("fault" in read) return read;
    const { id, file } = read.description;
    const other = first.get(id.toLowerCase());
    if (other === undefined) {
      first.set(id.toLowerCase(), file);
      return read;
    }
    const message = `the model file ${file}: its \`model_id\` ${id} is that of ${basename(other)} already`;
    const error: ErrorBody = { code: "model_damaged", message, hint: "Give one of them another model_id." };
    return { fault: { file, id, error } };
  });
}
