// The shape of a model read off the headers of its files, on the disk or elsewhere. Loads nothing.

import { diskFiles, type FileSource } from "../../formats/file-source.ts";
import { type GgufHeader, readGgufHeader } from "../../formats/gguf/read-header.ts";
import type { ModelShape } from "./model-shape.ts";
import { readShape } from "./shape-from-gguf.ts";

/** All parts, the first one first. Null: it has no layers that could be counted. Throws what the files' headers throw. */
export function readShapeOfFiles(paths: readonly string[], source: FileSource = diskFiles): ModelShape | null {
  return readShape(
    paths.map((path): GgufHeader => source.use(path, (file) => readGgufHeader(file, { tensors: true }))),
  );
}
