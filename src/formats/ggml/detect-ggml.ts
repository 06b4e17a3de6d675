// Files of ggml from before GGUF (until August 2023), and the states that llama.cpp saves: told by their first word. None of
// them runs; the few numbers in their headers tell which model it was.

import type { Finding } from "../detection.ts";
import type { FileSource } from "../file-source.ts";
import { readBytes } from "../read-at.ts";

const KINDS: ReadonlyMap<string, { variant: string; what: string }> = new Map([
  ["lmgg", { variant: "ggml", what: "an unversioned GGML file" }],
  ["fmgg", { variant: "ggmf", what: "a GGMF file" }],
  ["tjgg", { variant: "ggjt", what: "a GGJT file" }],
  ["algg", { variant: "ggla-adapter", what: "a LoRA adapter of the time before GGUF" }],
  ["nsgg", { variant: "ggsn-state", what: "a saved state of llama.cpp: a conversation's memory, no model" }],
]);

/** Vocabularies of whisper.cpp's models, which are still written in this way. */
const WHISPER_TOKENS: readonly number[] = [51_864, 51_865, 51_866];

/** `n_vocab` behind the magic (and version), then six more words and the file type. */
const HEAD_BYTES = 40;

export function detectGgml(source: FileSource, path: string): Finding {
  const head = source.use(path, (file) => readBytes(file, 0, HEAD_BYTES));
  const { variant, what } = KINDS.get(String.fromCharCode(...head.subarray(0, 4))) ?? {
    variant: "ggml",
    what: "a GGML file",
  };
  const model = variant === "ggml" || variant === "ggmf" || variant === "ggjt";
  if (model && head.byteLength < HEAD_BYTES) {
    return {
      format: "ggml",
      variant,
      verdict: "damaged",
      missing: ["the rest of its header"],
      reason: `${what} that ends within its header.`,
    };
  }
  const second = head.byteLength < 8 ? 0 : new DataView(head.buffer, head.byteOffset).getUint32(4, true);
  if (variant === "ggml" && WHISPER_TOKENS.includes(second)) {
    const reason = "a speech model of whisper.cpp: this program runs language models.";
    return { format: "ggml", variant: "whisper", verdict: "unsupported", reason };
  }
  const version = variant === "ggml" || !model ? null : second;
  const reason = model
    ? `${what}${version === null ? "" : ` (version ${version})`}: llama.cpp reads GGUF only since August 2023. Fetch a GGUF of the model.`
    : `${what}. It can't be used here.`;
  return { format: "ggml", variant, verdict: "unsupported", reason };
}
