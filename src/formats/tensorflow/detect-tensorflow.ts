// TensorFlow's and Keras' ways of keeping models: SavedModel folders, checkpoints, HDF5, .keras archives, TFLite. None of
// them runs here; each says what to look for instead.

import { join } from "node:path";
import type { Finding } from "../detection.ts";
import type { FileSource } from "../file-source.ts";
import { type FieldBudget, ProtobufError, walkFields } from "../protobuf.ts";
import { readBytes } from "../read-at.ts";
import { OutOfFileError, WindowedFile } from "../windowed-file.ts";
import type { ZipEntry } from "../zip/read-zip.ts";

const ORIGINAL = "Fetch the SafeTensors of the same model (Hugging Face repositories usually have both), or a GGUF.";
/** Attributes of Keras stand in the first blocks of its files. */
const HDF5_HEAD_BYTES = 16 * 1024;
/** Version and graphs: a SavedModel has a handful of fields at the top. */
const FIELDS_MAX = 64;

export function detectSavedModel(source: FileSource, folder: string, names: readonly string[]): Finding | null {
  const name = ["saved_model.pb", "saved_model.pbtxt"].find((candidate) => names.includes(candidate));
  if (name === undefined) return null;
  const base = { format: "tensorflow" as const, variant: "saved-model" };
  if (name.endsWith(".pb") && !isSavedModel(source, join(folder, name))) {
    return {
      ...base,
      verdict: "damaged",
      missing: [`a whole ${name}`],
      reason: `${name} is cut or is none. Fetch it again.`,
    };
  }
  const variables =
    source.stat(join(folder, "variables"))?.kind === "folder" ? source.list(join(folder, "variables")) : [];
  const data = variables.some((variable) => variable.startsWith("variables.data-"));
  const index = variables.includes("variables.index");
  // A frozen graph keeps its weights in itself and needs no variables; half a set of them is a half download.
  if (data !== index) {
    const missing = [`variables/${data ? "variables.index" : "variables.data-*"}`];
    return {
      ...base,
      verdict: "damaged",
      missing,
      reason: "a SavedModel whose variables are not whole. Fetch the folder again.",
    };
  }
  return {
    ...base,
    verdict: "unsupported",
    reason: `a TensorFlow SavedModel: a graph for TensorFlow's runtime. ${ORIGINAL}`,
  };
}

/** A schema version, then graphs. */
function isSavedModel(source: FileSource, path: string): boolean {
  return source.use(path, (file) => {
    const view = new WindowedFile(file);
    const budget: FieldBudget = { left: FIELDS_MAX };
    let graphs = 0;
    try {
      for (const field of walkFields(view, 0, view.sizeBytes, budget)) {
        if (field.number === 2 && field.wire === 2) graphs += 1;
        else if (field.number !== 1 || field.wire !== 0) return false;
      }
    } catch (thrown) {
      if (thrown instanceof ProtobufError || thrown instanceof OutOfFileError) return false;
      throw thrown;
    }
    return graphs > 0;
  });
}

/** `model.ckpt.index` with `model.ckpt.data-00000-of-00001`. */
export function detectTensorflowCheckpoint(names: readonly string[]): Finding | null {
  const parts = names.flatMap((name) => /^(.+)\.data-\d{5}-of-(\d{5})$/.exec(name) ?? []);
  const stem = parts[1];
  if (stem === undefined) return null;
  const count = Number(parts[2]);
  const there = names.filter((name) => name.startsWith(`${stem}.data-`)).length;
  const missing = names.includes(`${stem}.index`) ? [] : [`${stem}.index`];
  if (there < count) missing.push(`${count - there} of ${count} files ${stem}.data-*`);
  const base = { format: "tensorflow" as const, variant: "checkpoint" };
  if (missing.length > 0)
    return { ...base, verdict: "damaged", missing, reason: "a TensorFlow checkpoint that is not whole." };
  return { ...base, verdict: "unsupported", reason: `a TensorFlow checkpoint. ${ORIGINAL}` };
}

export function detectHdf5(source: FileSource, path: string): Finding {
  const head = source.use(path, (file) => readBytes(file, 0, HDF5_HEAD_BYTES));
  const keras = Buffer.from(head.buffer, head.byteOffset, head.byteLength).includes("keras_version");
  const end = readHdf5End(head);
  const size = source.stat(path)?.sizeBytes ?? 0;
  const format = keras ? ("keras" as const) : ("tensorflow" as const);
  if (end !== null && end > size) {
    const missing = [`${end - size} bytes at its end`];
    return {
      format,
      variant: "hdf5",
      verdict: "damaged",
      missing,
      reason: "an HDF5 file that was cut. Fetch it again.",
    };
  }
  const what = keras ? "a Keras model (HDF5)" : "an HDF5 file, such as TensorFlow's weights";
  return { format, variant: "hdf5", verdict: "unsupported", reason: `${what}. ${ORIGINAL}` };
}

/** The superblock names the file's end; null where its version keeps it elsewhere or it was never set. */
function readHdf5End(head: Uint8Array): number | null {
  if (head.byteLength < 64) return null;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const version = head[8] ?? 255;
  const wide = version < 2 ? head[13] === 8 : head[9] === 8;
  if (!wide || version > 3) return null;
  // Versions 0 and 1: behind base address and free space. 2 and 3: behind base address and extension.
  const end = view.getBigUint64(version === 0 ? 40 : version === 1 ? 44 : 28, true);
  return end > 0n && end < 1n << 53n ? Number(end) : null;
}

/** Keras' archive: its configuration, and the weights as HDF5. */
export function detectKerasArchive(entries: readonly ZipEntry[]): Finding | null {
  const has = (name: string): boolean => entries.some((entry) => entry.name === name);
  if (!has("config.json") || !has("metadata.json")) return null;
  const weights = entries.some((entry) => /\.weights\.(h5|npz)$/.test(entry.name));
  const base = { format: "keras" as const, variant: "keras-archive" };
  if (weights) return { ...base, verdict: "unsupported", reason: `a Keras model. ${ORIGINAL}` };
  return { ...base, verdict: "damaged", missing: ["model.weights.h5"], reason: "a Keras model without its weights." };
}

/** A flatbuffer whose root must lie within the file. */
export function detectFlatbuffer(source: FileSource, path: string, format: "tflite" | "executorch"): Finding {
  const size = source.stat(path)?.sizeBytes ?? 0;
  const root = source.use(path, (file) => {
    const head = readBytes(file, 0, 4);
    return head.byteLength < 4 ? 0 : new DataView(head.buffer, head.byteOffset).getUint32(0, true);
  });
  const what = format === "tflite" ? "a TensorFlow Lite model" : "an ExecuTorch program";
  if (root < 8 || root + 4 > size) {
    return {
      format,
      verdict: "damaged",
      missing: ["the rest of the file"],
      reason: `${what} that is cut. Fetch it again.`,
    };
  }
  return { format, verdict: "unsupported", reason: `${what}: a graph compiled for devices. ${ORIGINAL}` };
}
