// The LoRA adapters that were asked for at the start: `FILE[=SCALE]` → the file and what its header says, or the error
// that ends the start. Whether one fits its model is only known once both are loaded.

import { basename } from "node:path";
import { GgufError } from "../formats/gguf/gguf-error.ts";
import { type GgufHeader, readGgufHeader } from "../formats/gguf/read-header.ts";
import { NotAFileError, withFile } from "../formats/read-at.ts";
import { AppError } from "../protocol/errors.ts";
import { ADAPTERS_MAX, isScale, type LoraAdapter, type LoraScale, SCALE_MAX } from "../protocol/lora.ts";

export interface AdapterFile {
  /** Absolute. */
  file: string;
  /** As it is listed, with the scale that it starts with. */
  adapter: LoraAdapter;
}

const HINT = "ml-offload serve --help describes --lora.";

/** Throws `invalid_request` or `format_unsupported` with the name at fault. */
export function readAdapters(settings: readonly string[]): AdapterFile[] {
  if (settings.length <= ADAPTERS_MAX) return settings.map(readAdapter);
  throw new AppError({
    code: "invalid_request",
    message: `--lora names ${settings.length} adapters, at most ${ADAPTERS_MAX} are taken`,
    hint: HINT,
  });
}

/** Of `FILE[=SCALE]`, without a look at the files. */
export function readScales(settings: readonly string[]): LoraScale[] {
  return settings.map((setting, id) => ({ id, scale: splitSetting(setting).scale }));
}

function readAdapter(setting: string, id: number): AdapterFile {
  const { file, scale } = splitSetting(setting);
  const { metadata } = readHeader(file);
  const textOf = (key: string): string => {
    const value = metadata.get(key);
    return typeof value === "string" ? value : "";
  };
  if (textOf("general.type") !== "adapter" || textOf("adapter.type") !== "lora") {
    throw unusable(file, "it is a GGUF file, but no LoRA adapter");
  }
  const taskName = textOf("adapter.lora.task_name");
  const promptPrefix = textOf("adapter.lora.prompt_prefix");
  return { file, adapter: { id, scale, path: basename(file), taskName, promptPrefix } };
}

/** What stands behind the last `=` is a scale when it is a number: a file's name ends in `.gguf`. */
function splitSetting(setting: string): { file: string; scale: number } {
  const [, file, number] = /^(.+)=([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)$/i.exec(setting) ?? [];
  if (file === undefined || number === undefined) return { file: setting, scale: 1 };
  const scale = Number(number);
  if (isScale(scale)) return { file, scale: Math.fround(scale) };
  const message = `--lora: the scale of ${basename(file)} must be from -${SCALE_MAX} to ${SCALE_MAX}, not ${number}`;
  throw new AppError({ code: "invalid_request", message, hint: HINT });
}

function readHeader(file: string): GgufHeader {
  try {
    return withFile(file, readGgufHeader);
  } catch (thrown) {
    const expected = thrown instanceof GgufError || thrown instanceof NotAFileError;
    if (expected || (thrown instanceof Error && "code" in thrown)) throw unusable(file, thrown.message);
    throw thrown;
  }
}

function unusable(file: string, why: string): AppError {
  return new AppError({ code: "format_unsupported", message: `--lora: ${file} can't be used: ${why}`, hint: HINT });
}
