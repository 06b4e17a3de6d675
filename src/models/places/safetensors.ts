// Folders of SafeTensors, such as those of MLX: listed so that a person sees that they were found, and why they can't be
// served.

import type { FoundModels, FoundNames } from "../found.ts";

/** True when the folder is one: a configuration, weights, and no GGUF file that could be served in their place. */
export function refuseSafetensors(
  found: FoundModels,
  folder: string,
  entries: readonly string[],
  names: FoundNames,
): boolean {
  const has = (pattern: RegExp): boolean => entries.some((name) => pattern.test(name));
  if (!entries.includes("config.json") || !has(/\.safetensors$/i) || has(/\.gguf$/i)) return false;
  const kind = /(^|[-/])mlx([-/]|$)/i.test(names.name) ? "SafeTensors weights for MLX" : "SafeTensors weights";
  found.addRefused(folder, names, false, {
    code: "format_unsupported",
    message: `${names.name} is a folder of ${kind}, which are not GGUF files`,
    hint: "ml-offload show says whether ml-offload convert takes it; ml-offload search finds GGUF versions.",
  });
  return true;
}
