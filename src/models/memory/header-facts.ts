// What the headers of a model tell of the memory that it will take, before it is loaded, converted or downloaded: what a plan
// is made of. Reads headers, and of a folder of weights its config.json; decides nothing.

import { join } from "node:path/posix";
import type { Detection } from "../../formats/detection.ts";
import { diskFiles, type FileSource, readJson } from "../../formats/file-source.ts";
import { GgufError } from "../../formats/gguf/gguf-error.ts";
import { isRecord } from "../../lib/is-record.ts";
import type { ModelShape } from "./model-shape.ts";
import { readConfigShape } from "./shape-from-config.ts";
import { readShapeOfFiles } from "./shape-of-files.ts";

export type HeaderFacts =
  | { kind: "gguf"; shape: ModelShape; fileBytes: number }
  /** Converted first; `plainType`: what its numbers are kept as where they are not quantised. */
  | {
      kind: "weights";
      parameterCount: number | null;
      plainType: "bf16" | "f16";
      shapeAs: (outType: string) => ModelShape | null;
    }
  /** Why there is nothing to plan with. */
  | { kind: "none"; reason: string };

/** Those of published models have some kB. */
const CONFIG_BYTES_MAX = 4 * 1024 * 1024;

/** `source` is where `found` was found. Throws what the source throws. */
export function readHeaderFacts(found: Detection, source: FileSource = diskFiles): HeaderFacts {
  if (found.verdict === "damaged" || found.verdict === "unsupported") {
    return { kind: "none", reason: "it can't be loaded as it is" };
  }
  return found.verdict === "runs" ? readGguf(found, source) : readWeights(found, source);
}

function readGguf({ format, files, sizeBytes }: Detection, source: FileSource): HeaderFacts {
  const none: HeaderFacts = { kind: "none", reason: "its header does not tell its layers" };
  if (format !== "gguf") return none;
  try {
    const shape = readShapeOfFiles(files, source);
    return shape === null ? none : { kind: "gguf", shape, fileBytes: sizeBytes };
  } catch (thrown) {
    if (thrown instanceof GgufError) return { kind: "none", reason: `its header can't be read: ${thrown.message}` };
    throw thrown;
  }
}

function readWeights({ path, parameterCount, quantization }: Detection, source: FileSource): HeaderFacts {
  const place = join(path, "config.json");
  if (source.stat(place)?.kind !== "file")
    return { kind: "none", reason: "it has no config.json that tells its layers" };
  const config = readJson(source, place, CONFIG_BYTES_MAX);
  if ("problem" in config) return { kind: "none", reason: `its config.json ${config.problem}` };
  const { value } = config;
  const shapeAs = (outType: string) => (isRecord(value) ? readConfigShape(value, outType) : null);
  if (shapeAs("f16") === null) return { kind: "none", reason: "its config.json does not tell its layers" };
  const plainType = /bf16/i.test(quantization ?? "") ? "bf16" : "f16";
  return { kind: "weights", parameterCount, plainType, shapeAs };
}
