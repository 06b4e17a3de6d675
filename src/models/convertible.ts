// A folder that was named as a model and holds weights that must be converted first: says so, with the command. Looks at
// names only; what the folder really holds, the converter says.

import { readdirSync } from "node:fs";
import { quotePath } from "../lib/shell-quote.ts";
import type { ErrorBody } from "../protocol/errors.ts";

/** Null when the folder does not look like one, or can't be read (its scan has said so). */
export function explainConvertible(folder: string): ErrorBody | null {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (_unreadable) {
    // The scan of the folder warns about it.
    return null;
  }
  const hasWeights = names.some((name) => /^model.*\.safetensors$/.test(name));
  if (!hasWeights || !names.includes("config.json")) return null;
  const command = `ml-offload convert ${quotePath(folder)}`;
  return {
    code: "format_unsupported",
    message: `${folder} holds SafeTensors weights and no GGUF file; make one of them: ${command}`,
    hint: "docs/converting.md lists what is converted. The file is then served by its name.",
  };
}
