// The draft model that was asked for at the start: whether its file is a model that generates, or the error that ends the
// start. Whether it is of its model's family is only known once both are loaded.

import { resolve } from "node:path";
import { AppError } from "../protocol/errors.ts";
import { discoverModels } from "./discover.ts";
import { readManifest } from "./manifest.ts";

/** Reads headers only. Throws `format_unsupported` with the flag and the path. */
export function checkDraftModel(path: string): void {
  const [found] = discoverModels({ models: [path], modelsDirs: [] }).models;
  // Of a folder it would be one of the files in it, and which one is meant is not said.
  if (found === undefined || !found.files.includes(resolve(path))) throw unusable(`${path} is no file`);
  if (found.error !== null) throw unusable(found.error.message);
  const { manifest, error } = readManifest(found.files);
  if (error !== null) throw unusable(error.message);
  if (!manifest.capabilities.completion) throw unusable(`${path} does not generate`);
}

function unusable(why: string): AppError {
  const message = `--draft-model can't be used: ${why}`;
  const hint = "Name a small GGUF model of the default model's family.";
  return new AppError({ code: "format_unsupported", message, hint });
}
