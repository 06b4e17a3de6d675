// What an ONNX model is, and whether the files with its data lie beside it. It does not run here: its graph is compiled for
// another runtime, and the original weights convert better.

import { dirname, join } from "node:path";
import { type Finding, showText } from "../detection.ts";
import type { FileSource } from "../file-source.ts";
import { ProtobufError } from "../protobuf.ts";
import { OutOfFileError } from "../windowed-file.ts";
import { readOnnx } from "./read-onnx.ts";

const REASON =
  "an ONNX graph, which another runtime executes. Fetch the original weights: most repositories name them as base_model, or hold SafeTensors beside the onnx folder.";

/** Null: not ONNX. */
export function detectOnnx(source: FileSource, path: string): Finding | null {
  const facts = source.use(path, (file) => {
    try {
      return readOnnx(file);
    } catch (thrown) {
      if (thrown instanceof ProtobufError || thrown instanceof OutOfFileError) return thrown;
      throw thrown;
    }
  });
  if (facts === null) return null;
  if (facts instanceof Error) {
    const cut = facts instanceof OutOfFileError || facts.truncated;
    // Any bytes may begin like a message: only its name and a cut make it likely that it was one.
    if (!/\.onnx$/i.test(path)) return null;
    const reason = `an ONNX graph that ${cut ? "is cut" : "contradicts itself"}: ${facts.message}. Fetch the file again.`;
    return { format: "onnx", verdict: "damaged", reason };
  }
  const folder = dirname(path);
  const files = facts.externalFiles.map((name) => join(folder, name));
  const isThere = (file: string): boolean => source.stat(file)?.kind === "file";
  const missing = facts.externalFiles.filter((name) => !isThere(join(folder, name)));
  const there = [path, ...files.filter(isThere)];
  const found = {
    format: "onnx" as const,
    variant: facts.externalFiles.length > 0 ? "external-data" : "single",
    parameterCount: facts.parameterCount,
    files: there,
    sizeBytes: there.reduce((sum, file) => sum + (source.stat(file)?.sizeBytes ?? 0), 0),
  };
  if (facts.outside.length > 0) {
    const reason = `an ONNX graph whose data is said to lie outside of its folder (${showText(facts.outside[0] ?? "")}): it was not looked for.`;
    return { ...found, verdict: "damaged", reason };
  }
  if (missing.length > 0) {
    const reason = "an ONNX graph whose weights lie in files of their own, which are missing.";
    return { ...found, verdict: "damaged", missing, reason };
  }
  return { ...found, verdict: "unsupported", reason: REASON };
}
