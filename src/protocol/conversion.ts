// What a conversion tells while it runs: the lines that its process writes on stdout, one JSON object each. A leaf: the
// command that writes them and the server that reads them share it.

import type { ErrorBody } from "./errors.ts";

/** `quantize`: llama.cpp makes the type that was asked for of a file of plain numbers; bytes are counted anew. */
export type ConversionPhase = "write" | "quantize";

export type ConversionLine =
  /** It is settled what is written, before a byte is: `file` is the name without its folder. */
  | { type: "planned"; outType: string; file: string }
  | { type: "progress"; phase: ConversionPhase | null; doneBytes: number; totalBytes: number }
  | ({ type: "done" } & ConversionResult)
  | { type: "failed"; error: ErrorBody };

export interface ConversionResult {
  /** The file that was written. */
  target: string;
  outType: string;
  /** llama.cpp's name. */
  architecture: string;
  bytes: number;
  /** In words: what the user should know about the result. */
  notes: string[];
}

/** Null: it is none, such as what a library writes. */
export function parseConversionLine(text: string): ConversionLine | null {
  if (!text.startsWith("{")) return null;
  try {
    const line = JSON.parse(text) as Partial<ConversionLine>;
    return KINDS.includes(line.type ?? "") ? (line as ConversionLine) : null;
  } catch (_notJson) {
    // Text that merely begins with a brace.
    return null;
  }
}

const KINDS: readonly string[] = ["planned", "progress", "done", "failed"] satisfies ConversionLine["type"][];
