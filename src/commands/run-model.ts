// A model as a command line names it: the path of a file or folder, which is served beside the others, or a name.

import { existsSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { RawFlags } from "../lib/option.ts";
import { idFromFileName, isGgufName } from "../models/name.ts";

/** The name under which it is listed, and the flags with which it is. */
export function nameModel(model: string, flags: RawFlags, cwd: string): { model: string; flags: RawFlags } {
  const path = resolve(cwd, model);
  // `demo` is a model's name although a file of that name may lie in the working directory.
  const isPath = (isGgufName(model) || model.includes("/")) && existsSync(path);
  if (!isPath) return { model, flags };
  return { model: nameOf(path), flags: new Map([...flags, ["model", [path]]]) };
}

/** As the server that gets this path calls its model. */
function nameOf(path: string): string {
  if (statSync(path).isFile()) return idFromFileName(basename(path));
  return existsSync(join(path, "config.json")) ? basename(path) : "default";
}
