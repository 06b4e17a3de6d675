// NumPy's arrays: an archive of them is how MLX kept weights before SafeTensors, one alone is data.

import { dirname } from "node:path";
import type { Finding } from "../detection.ts";
import type { FileSource } from "../file-source.ts";
import { readModelConfig } from "../hugging-face/read-config.ts";
import { readBytes } from "../read-at.ts";
import { judgeWeights } from "../safetensors/weights-kind.ts";
import { type ZipEntry, ZipError } from "../zip/read-zip.ts";
import { readNpyHeader, readNpz } from "./read-npz.ts";

export function detectNpz(source: FileSource, path: string, entries: readonly ZipEntry[]): Finding {
  try {
    const arrays = source.use(path, (file) => readNpz(file, entries));
    const config = readModelConfig(source, dirname(path));
    const known = config === null || "problem" in config ? null : config;
    const weights = judgeWeights(arrays.map((array) => ({ ...array, bytes: array.shape.reduce((a, b) => a * b, 1) })));
    const bits = known?.quantization?.bits ?? null;
    return {
      format: "npz",
      variant: known === null ? "arrays" : "mlx",
      architecture: known?.architecture ?? known?.modelType ?? null,
      contextLength: known?.contextLength ?? null,
      parameterCount: weights.count(bits),
      quantization: weights.method === null ? weights.dtype : `MLX${bits === null ? "" : ` ${bits}-bit`}`,
      verdict: "unsupported",
      reason:
        "NumPy arrays, as MLX kept weights before SafeTensors. Fetch the SafeTensors of the original model, or a GGUF.",
    };
  } catch (thrown) {
    if (!(thrown instanceof ZipError)) throw thrown;
    return { format: "npz", verdict: "damaged", reason: `${thrown.message}. Fetch the file again.` };
  }
}

export function detectNpy(source: FileSource, path: string): Finding {
  const array = source.use(path, (file) => readNpyHeader(readBytes(file, 0, 4_096)));
  if (array === null) {
    return { format: "npz", variant: "array", verdict: "damaged", reason: "a NumPy array whose header is not whole." };
  }
  const reason = `one NumPy array of ${array.dtype} [${array.shape.join(", ")}]: data, no model.`;
  return { format: "npz", variant: "array", quantization: array.dtype, verdict: "unsupported", reason };
}
