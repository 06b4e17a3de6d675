// Model names, pure: a file's name → the model's id, split files, ids as they come in URLs.
// Touches no disk.

import { findNearest } from "../lib/nearest.ts";
import { AppError } from "../protocol/errors.ts";
import { isRepository } from "../protocol/hub-name.ts";

export interface SplitName {
  /** The name without the split suffix. */
  stem: string;
  /** 1-based. */
  index: number;
  count: number;
}

/** Words that mean "the default model"; a file of such a name is reached by its name with `.gguf`. */
export const DEFAULT_MODEL_NAMES: readonly string[] = ["default", "auto-select"];

/** Asks for a model by what it can do: `auto`, `auto:tools`. */
export const AUTO_NAME = "auto";

/** Words that no model can be given as a further name. */
export function isReservedName(name: string): boolean {
  return DEFAULT_MODEL_NAMES.includes(name) || name === AUTO_NAME || name.startsWith(`${AUTO_NAME}:`);
}

/** Ids over this are answered as invalid: no file system has such names. */
const ID_CHARS_MAX = 1024;

export function isGgufName(fileName: string): boolean {
  return /\.gguf$/i.test(fileName);
}

export function stripExtension(fileName: string): string {
  return fileName.replace(/\.gguf$/i, "");
}

/** `name-00002-of-00005(.gguf)`, as llama.cpp's split tool names them; null for a file that is whole. */
export function parseSplit(fileName: string): SplitName | null {
  const match = /^(.+)-(\d{5})-of-(\d{5})$/.exec(stripExtension(fileName));
  if (match === null) return null;
  const [, stem, index, count] = match;
  const split = { stem: stem ?? "", index: Number(index), count: Number(count) };
  return split.index >= 1 && split.index <= split.count ? split : null;
}

export function splitFileName(stem: string, index: number, count: number, extension = ".gguf"): string {
  const five = (number: number): string => String(number).padStart(5, "0");
  return `${stem}-${five(index)}-of-${five(count)}${extension}`;
}

/** A file's id: its name without `.gguf` and without the split suffix. */
export function idFromFileName(fileName: string): string {
  return parseSplit(fileName)?.stem ?? stripExtension(fileName);
}

/** An id out of a URL: percent-decoded (`%2F` too), since a wildcard route leaves it encoded. */
export function decodeModelId(raw: string): string {
  let id: string;
  try {
    id = decodeURIComponent(raw);
  } catch (cause) {
    throw new AppError(
      {
        code: "invalid_request",
        message: `the model id "${raw.slice(0, 80)}" is not valid percent-encoding`,
        param: "model",
      },
      { cause },
    );
  }
  if (id.length === 0 || id.length > ID_CHARS_MAX) {
    throw new AppError({
      code: "invalid_request",
      message: `a model id has 1 to ${ID_CHARS_MAX} characters, this one has ${id.length}`,
      param: "model",
    });
  }
  return id;
}

/** The 404 of an unknown name, with the names that may have been meant. `target`: what it stands for, if that is what is gone. */
export function modelNotFound(name: string, known: readonly string[], target?: string): AppError {
  const near = findNearest(target ?? name, known);
  const shown = name.length > 200 ? `${name.slice(0, 200)}…` : name;
  const meant = near.length > 0 ? `Did you mean ${near.join(" or ")}? ` : "";
  const onHub = isRepository(name.split(":")[0] ?? "")
    ? `\`ml-offload pull ${shown}\` downloads it from the Hub. `
    : "";
  return new AppError({
    code: "model_not_found",
    message:
      target === undefined
        ? `the model "${shown}" does not exist`
        : `the name "${shown}" stands for the model "${target}", which does not exist`,
    hint: `${meant}${onHub}GET /v1/models lists the models.`,
    param: "model",
  });
}
