// Why a model can't be served, as far as it may be told: where files lie is the business of programs on this machine alone.

import { dirname } from "node:path";
import type { ModelCard } from "../router/inference.ts";

/** Who is not on this machine gets the names of its files alone. */
export function describeTrouble(
  { error, path, described }: Pick<ModelCard, "error" | "path" | "described">,
  isLocal: boolean,
): string | null {
  if (isLocal || error === null) return error;
  // The message may name another part of a split model, which lies in the same folder.
  const folders = [path, described?.file ?? path].map((file) => `${dirname(file)}/`);
  return folders.reduce((text, folder) => text.replaceAll(folder, ""), error);
}
