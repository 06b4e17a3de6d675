// What the detector finds out about a file or folder, as one type for every format, and how a verdict is put together.
// Unknown is null, never a guess. Reads nothing.

export type FormatName =
  | "gguf"
  | "ggml"
  | "safetensors"
  | "pytorch"
  | "npz"
  | "coreml"
  | "onnx"
  | "tensorflow"
  | "keras"
  | "tflite"
  | "tensorrt"
  | "executorch"
  | "llamafile"
  | "ollama"
  | "lfs-pointer"
  | "html"
  | "incomplete"
  | "archive"
  | "folder"
  | "unknown";

/**
 * `runs`: as it is. `convertible`: by `ml-offload convert`; `convertible-with-loss`: its weights become less exact by it.
 * `unsupported`: whole, but not for this program. `damaged`: something is missing or contradicts itself.
 */
export type Verdict = "runs" | "convertible" | "convertible-with-loss" | "unsupported" | "damaged";

export interface Guidance {
  /** One or two sentences. */
  reason: string;
  /** To be typed as it stands; null where no command helps. */
  command: string | null;
  /** Of the file that the command makes, or of the model that runs; null: unknown. */
  sizeBytes: number | null;
  /** For the weights alone: the context comes on top. */
  memoryBytes: number | null;
}

export interface Detection {
  path: string;
  format: FormatName;
  /** What kind of it, such as `split` or `gptq`. */
  variant: string | null;
  /** As the file names it: llama.cpp's name in a GGUF, the class in a Hugging Face folder. */
  architecture: string | null;
  parameterCount: number | null;
  /** Such as `Q4_K_M`, `BF16`, `GPTQ 4-bit`. */
  quantization: string | null;
  contextLength: number | null;
  tokenizer: string | null;
  hasChatTemplate: boolean | null;
  /** Every file that is part of it, by path. */
  files: readonly string[];
  sizeBytes: number;
  /** Files, keys or tensors that ought to be there, in words. */
  missing: readonly string[];
  verdict: Verdict;
  guidance: Guidance;
}

/** The parts that a format's own code finds; what it leaves out is unknown. */
export interface Finding {
  format: FormatName;
  variant?: string | null;
  architecture?: string | null;
  parameterCount?: number | null;
  quantization?: string | null;
  contextLength?: number | null;
  tokenizer?: string | null;
  hasChatTemplate?: boolean | null;
  files?: readonly string[];
  sizeBytes?: number;
  missing?: readonly string[];
  verdict: Verdict;
  reason: string;
  command?: string | null;
  /** Of what the command makes; of what runs it is the files' size. */
  resultBytes?: number | null;
  memoryBytes?: number | null;
}

/** More lines help nobody, and a hostile index could name any number of them. */
const MISSING_MAX = 20;

/** `own` is what is known of the path itself, for a finding that says nothing about files. */
export function toDetection(
  path: string,
  own: { files: readonly string[]; sizeBytes: number },
  found: Finding,
): Detection {
  const missing = found.missing ?? [];
  const more = missing.length - MISSING_MAX;
  const sizeBytes = found.sizeBytes ?? own.sizeBytes;
  const runs = found.verdict === "runs";
  return {
    path,
    format: found.format,
    variant: found.variant ?? null,
    architecture: found.architecture ?? null,
    parameterCount: found.parameterCount ?? null,
    quantization: found.quantization ?? null,
    contextLength: found.contextLength ?? null,
    tokenizer: found.tokenizer ?? null,
    hasChatTemplate: found.hasChatTemplate ?? null,
    files: found.files ?? own.files,
    sizeBytes,
    missing: more > 0 ? [...missing.slice(0, MISSING_MAX), `${more} more`] : missing,
    verdict: found.verdict,
    guidance: {
      reason: found.reason,
      command: found.command ?? null,
      sizeBytes: found.resultBytes ?? (runs ? sizeBytes : null),
      memoryBytes: found.memoryBytes ?? (runs ? sizeBytes : null),
    },
  };
}

/** Text out of a file as it may stand in a message: one line, no control characters, short. */
export function showText(text: string, charactersMax = 80): string {
  const plain = text.replace(/[^\P{C}]/gu, "?");
  return plain.length > charactersMax ? `${plain.slice(0, charactersMax)}…` : plain;
}
