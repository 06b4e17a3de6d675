// Model files and what was found on the disk → what is listed: a file that a model file describes is listed as that says, in
// the place of its own name. Two model files may describe one file in two ways. Reads no file contents.

import { existsSync } from "node:fs";
import { basename, dirname, isAbsolute, resolve } from "node:path";
import { type Environment, expandHome } from "../../lib/paths.ts";
import type { ErrorBody } from "../../protocol/errors.ts";
import { discoverModels } from "../discover.ts";
import { type FoundModel, FoundModels, tryRealpath } from "../found.ts";
import { modelNotFound } from "../name.ts";
import type { ModelFileFault, ModelFileRead } from "./folder.ts";
import type { ModelDescription } from "./parse.ts";

/** `found` with the described models in their places, and behind them those that nothing else found. */
export function describeModels(
  found: readonly FoundModel[],
  reads: readonly ModelFileRead[],
  env: Environment,
): FoundModel[] {
  if (reads.length === 0) return [...found];
  const models: FoundModel[] = [...found];
  const byFile = new Map<string, number>();
  for (const [at, { files }] of found.entries()) for (const file of files) byFile.set(realOf(file), at);
  const taken = new Set<number>();
  for (const read of reads) {
    if ("fault" in read) {
      models.push(listFault(read.fault));
      continue;
    }
    const { description } = read;
    const target = locate(description, found, env);
    if ("error" in target) {
      models.push(listFault({ file: description.file, id: description.id, error: target.error }));
      continue;
    }
    const at = byFile.get(realOf(target.model.files[0] ?? ""));
    if (at === undefined || taken.has(at)) models.push(rename(target.model, description, false));
    else {
      taken.add(at);
      models[at] = rename(target.model, description, true);
    }
  }
  return models;
}

/** `keepsNames`: the names of the file stay, as further ones. */
function rename(model: FoundModel, description: ModelDescription, keepsNames: boolean): FoundModel {
  const { name, relativeName, otherNames, linkNames } = model;
  return {
    ...model,
    name: description.id,
    relativeName: description.id,
    otherNames: keepsNames ? [name, relativeName, ...otherNames] : [],
    linkNames: keepsNames ? [...linkNames] : [],
    // Of two of one repository neither is the only one.
    repo: keepsNames ? model.repo : null,
    explicit: keepsNames && model.explicit,
    description,
  };
}

/** Listed as a model, so that a request for it is told what is wrong. */
function listFault({ file, id, error }: ModelFileFault): FoundModel {
  const found = new FoundModels();
  const names = { name: id, relativeName: `${id} (${basename(file)})`, otherNames: [basename(file)], repo: null };
  found.addRefused(file, names, false, error);
  // Without a date: it is not waited for.
  return { ...(found.models[0] as FoundModel), modifiedMs: 0, place: "model-file" };
}

type Located = { model: FoundModel } | { error: ErrorBody };

function locate(description: ModelDescription, found: readonly FoundModel[], env: Environment): Located {
  const { target, file } = description;
  const path = resolve(dirname(file), expandHome(target, env));
  const isPath = isAbsolute(target) || /^(~|\.{1,2})(\/|$)|\.gguf$/i.test(target) || existsSync(path);
  return isPath ? locatePath(description, path, found) : locateName(description, found);
}

function locatePath({ file }: ModelDescription, path: string, found: readonly FoundModel[]): Located {
  const real = realOf(path);
  const known = found.find(({ files }) => files.some((part) => realOf(part) === real));
  if (known !== undefined) return { model: known };
  const { models } = discoverModels({ models: [path], modelsDirs: [] });
  const [first] = models;
  if (first !== undefined && models.length === 1) return { model: { ...first, explicit: false, place: "model-file" } };
  const what = first === undefined ? "holds no model" : `holds ${models.length} models`;
  return refuse(file, `\`path\` leads to ${path}, which ${what}`, "Name a GGUF file.");
}

/** As the listing calls models, without other model files' names. */
function locateName({ file, target }: ModelDescription, found: readonly FoundModel[]): Located {
  const namesOf = ({ name, relativeName, otherNames, linkNames }: FoundModel): string[] => {
    return [name, relativeName, ...otherNames, ...linkNames];
  };
  const byName = found.find((model) => namesOf(model).includes(target));
  if (byName !== undefined) return { model: byName };
  const ofRepo = found.filter(({ repo }) => repo === target);
  const [only] = ofRepo;
  if (only !== undefined && ofRepo.length === 1) return { model: only };
  if (ofRepo.length > 1) {
    const names = ofRepo.slice(0, 8).map(({ name }) => name);
    return refuse(
      file,
      `\`path\` names ${target}, of which there are ${ofRepo.length} models`,
      `Name one of ${names.join(", ")}.`,
    );
  }
  const { message, hint } = modelNotFound(target, found.flatMap(namesOf));
  return refuse(file, `\`path\` can't be found: ${message}, and there is no such file`, hint, "model_not_found");
}

function refuse(file: string, what: string, hint: string, code: ErrorBody["code"] = "model_damaged"): Located {
  return { error: { code, message: `the model file ${file}: ${what}`, hint } };
}

function realOf(path: string): string {
  return tryRealpath(path) ?? path;
}
