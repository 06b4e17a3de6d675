// NumPy's arrays: an archive of them is how MLX kept weights before SafeTensors, one alone is data.

import { basename, dirname, join } from "node:path";
import type { Finding } from "../detection.ts";
import type { FileSource } from "../file-source.ts";
import { readModelConfig } from "../hugging-face/read-config.ts";
import { readTokenizer } from "../hugging-face/read-tokenizer.ts";
import { readBytes } from "../read-at.ts";
import { judgeModel } from "../safetensors/judge-model.ts";
import { judgeWeights } from "../safetensors/weights-kind.ts";
import { type ZipEntry, ZipError } from "../zip/read-zip.ts";
import { type NpyArray, readNpyHeader, readNpz } from "./read-npz.ts";

const ALONE =
  "NumPy arrays, as MLX kept weights before SafeTensors. Fetch the SafeTensors of the original model, or a GGUF.";

const NAME = /^weights(\.\d{1,5})?\.npz$/;

export function detectNpz(source: FileSource, path: string, entries: readonly ZipEntry[], thorough: boolean): Finding {
  const folder = dirname(path);
  try {
    const files = NAME.test(basename(path))
      ? source.list(folder).flatMap((name) => (NAME.test(name) ? [join(folder, name)] : []))
      : [path];
    const arrays = files.flatMap((file) =>
      source.use(file, (opened) => (file === path ? readNpz(opened, entries) : readNpz(opened))),
    );
    const config = readModelConfig(source, folder);
    const known = config === null || "problem" in config ? null : config;
    const sizeOf = ({ shape, dtype }: NpyArray) => shape.reduce((a, b) => a * b, dtype === "U32" ? 4 : 2);
    const weights = judgeWeights(arrays.map((array) => ({ ...array, bytes: sizeOf(array) })));
    const bits = known?.quantization?.bits ?? null;
    const found: Omit<Finding, "verdict" | "reason"> = {
      format: "npz",
      variant: known === null ? "arrays" : "mlx",
      architecture: known?.architecture ?? known?.modelType ?? null,
      contextLength: known?.contextLength ?? null,
      parameterCount: weights.count(bits),
      quantization: weights.method === null ? weights.dtype : `MLX${bits === null ? "" : ` ${bits}-bit`}`,
      files,
    };
    if (known?.architecture == null || !NAME.test(basename(path)) || arrays.some(({ start }) => start === null)) {
      return { ...found, verdict: "unsupported", reason: ALONE };
    }
    const tokenizer = readTokenizer(source, folder, thorough);
    const tensors = new Map(arrays.map((array) => [array.name, array]));
    const { method } = weights;
    return judgeModel({ found, folder, config: known, tokenizer, weights, method, tensors });
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
