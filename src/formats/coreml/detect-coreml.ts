// Apple's Core ML: a model's message in one file, a package folder, or a compiled folder. None of them runs here; weights
// in them are in a form for Apple's own runtime.

import { join } from "node:path";
import { isRecord } from "../../lib/is-record.ts";
import type { Finding } from "../detection.ts";
import { type FileSource, fieldOf, readJson } from "../file-source.ts";
import { type FieldBudget, ProtobufError, walkFields } from "../protobuf.ts";
import { OutOfFileError, WindowedFile } from "../windowed-file.ts";

const REASON = "made for Apple's Core ML runtime. Fetch the original weights it was made from, as SafeTensors or GGUF.";

/** A Manifest.json lists two items or so. */
const MANIFEST_BYTES_MAX = 1024 * 1024;
/** The message's own fields; what is within them is leapt over. */
const FIELDS_MAX = 256;

/** Numbers of the fields that say of which kind a model is (Model.proto): pipelines, regressors, networks, programs, … */
function isKind(field: number): boolean {
  return (
    (field >= 200 && field <= 610) ||
    field === 900 ||
    field === 2000 ||
    (field >= 2001 && field <= 2006) ||
    field === 3000
  );
}

/** A .mlmodel: version, description, and one kind. Null: other bytes. */
export function detectMlmodel(source: FileSource, path: string): Finding | null {
  const read = source.use(path, (file) => {
    const view = new WindowedFile(file);
    const budget: FieldBudget = { left: FIELDS_MAX };
    const seen = { version: 0, description: false, kind: 0 };
    try {
      for (const field of walkFields(view, 0, view.sizeBytes, budget)) {
        if (field.number === 1 && field.wire === 0) seen.version = field.value;
        else if (field.number === 2 && field.wire === 2) seen.description = true;
        else if (isKind(field.number) && field.wire === 2) seen.kind = field.number;
        else if (field.number !== 10) return null;
      }
      return { ...seen, problem: null };
    } catch (thrown) {
      if (!(thrown instanceof ProtobufError) && !(thrown instanceof OutOfFileError)) throw thrown;
      const cut = thrown instanceof OutOfFileError || thrown.truncated;
      return cut && seen.description ? { ...seen, problem: thrown.message } : null;
    }
  });
  if (read === null || read.version === 0 || !read.description) return null;
  if (read.problem !== null && /\.mlmodel$/i.test(path)) {
    const reason = `a Core ML model that is cut: ${read.problem}. Fetch the file again.`;
    return { format: "coreml", variant: "mlmodel", verdict: "damaged", reason };
  }
  if (read.kind === 0) return null;
  const variant = read.kind === 502 ? "mlprogram" : "mlmodel";
  return { format: "coreml", variant, verdict: "unsupported", reason: `a model ${REASON}` };
}

/** Folders of Core ML; null: another one. */
export function detectCoremlFolder(source: FileSource, folder: string, names: readonly string[]): Finding | null {
  if (names.includes("coremldata.bin")) {
    const missing = names.some((name) => /^model\.(mil|espresso\.net)$/.test(name))
      ? []
      : ["model.mil or model.espresso.net"];
    if (missing.length > 0 && !names.includes("metadata.json")) {
      const reason = "a compiled Core ML model without its program. Fetch the whole folder.";
      return { format: "coreml", variant: "mlmodelc", verdict: "damaged", missing, reason };
    }
    return { format: "coreml", variant: "mlmodelc", verdict: "unsupported", reason: `a compiled model ${REASON}` };
  }
  if (!names.includes("Manifest.json")) return null;
  const read = readJson(source, join(folder, "Manifest.json"), MANIFEST_BYTES_MAX);
  const items = "value" in read ? fieldOf(read.value, "itemInfoEntries") : undefined;
  if (!isRecord(items)) return null;
  const paths = Object.values(items).flatMap((item) => {
    const path = fieldOf(item, "path");
    return typeof path === "string" && isInside(path) ? [path] : [];
  });
  const missing = paths.filter((path) => source.stat(join(folder, "Data", path)) === null);
  const variant = "mlpackage";
  if (missing.length > 0 || paths.length === 0) {
    const reason = "a Core ML package whose parts are missing. Fetch the whole folder.";
    return {
      format: "coreml",
      variant,
      verdict: "damaged",
      missing: missing.length > 0 ? missing : ["its items"],
      reason,
    };
  }
  return { format: "coreml", variant, verdict: "unsupported", reason: `a package ${REASON}` };
}

function isInside(path: string): boolean {
  return !path.startsWith("/") && !path.split("/").includes("..") && !path.includes("\0") && path.length <= 1_024;
}
