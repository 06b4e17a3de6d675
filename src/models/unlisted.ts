// Why a name that is not listed is none, where that is known: a file that is still being written, or a part that goes
// with a model. Pure.

import { AppError } from "../protocol/errors.ts";
import type { ModelEntry } from "./entry.ts";
import { aliasesOf, type FoundModel } from "./found.ts";

/** The answer to a request for it; null: nothing is known of such a name. */
export function explainUnlisted(
  name: string,
  entries: readonly ModelEntry[],
  settling: readonly FoundModel[],
): AppError | null {
  const wanted = name.toLowerCase();
  const growing = settling.find((found) => aliasesOf(found).some((alias) => alias.toLowerCase() === wanted));
  if (growing !== undefined) {
    const message = `the model "${growing.name}" is still being written to the disk`;
    return new AppError({
      code: "model_loading",
      message,
      hint: "Try again when the copy is complete.",
      param: "model",
    });
  }
  for (const { id, companions } of entries) {
    const companion = companions.find((part) => part.name.toLowerCase() === wanted.replace(/\.gguf$/, ""));
    if (companion === undefined) continue;
    const message = `"${companion.name}" is the ${companion.kind} of the model "${id}", not a model of its own`;
    return new AppError({ code: "format_unsupported", message, hint: `Ask for ${id}.`, param: "model" });
  }
  return null;
}
