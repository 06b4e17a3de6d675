// The chat template that a model file keeps in a file of its own: read whole, within bounds. Whether it parses is found out by
// the engine that loads the model.

import { readFileSync } from "node:fs";
import { dirname, sep } from "node:path";
import { AppError } from "../../protocol/errors.ts";
import { messageOf, statOrError } from "../found.ts";
import { faultOf, type ModelDescription } from "./parse.ts";
import { isTemplate } from "./schema.ts";

const KEYS = ["settings", "chat_template_file"] as const;

/** The longest of known models have some 30 KB. */
const TEMPLATE_BYTES_MAX = 256 * 1024;

/** With the template's text among the settings. `text` is that of the model file, for the line. Throws `ModelFileError`. */
export function withTemplate(description: ModelDescription, text: string): ModelDescription {
  const { templateFile, file, settings } = description;
  if (templateFile === null) return description;
  const wrong = (what: string) => faultOf(file, text, KEYS, what);
  const stats = statOrError(templateFile);
  if ("code" in stats) throw wrong(`can't be read: ${stats.message}`);
  if (!stats.isFile()) throw wrong(`leads to ${templateFile}, which is not a regular file`);
  if (stats.size > TEMPLATE_BYTES_MAX) {
    throw wrong(`leads to ${stats.size} bytes; at most ${TEMPLATE_BYTES_MAX} are read`);
  }
  let chatTemplate: string;
  try {
    chatTemplate = readFileSync(templateFile, "utf8");
  } catch (thrown) {
    throw wrong(`can't be read: ${messageOf(thrown)}`);
  }
  if (!isTemplate(chatTemplate)) throw wrong(`leads to ${templateFile}, which must hold text, and no NUL`);
  return { ...description, settings: { ...settings, engine: { ...settings.engine, chatTemplate } } };
}

/**
 * Templates are shown to whoever asks: a model file that came over HTTP must not make other files of this machine readable.
 * Throws `forbidden`.
 */
export function assertTemplateNear({ file, templateFile }: ModelDescription): void {
  if (templateFile === null || templateFile.startsWith(dirname(file) + sep)) return;
  throw new AppError({
    code: "forbidden",
    message: "`settings.chat_template_file` of a model file that is sent must lie in the folder of model files",
    hint: "Send the template itself as `settings.chat_template`.",
    param: KEYS.join("."),
  });
}
