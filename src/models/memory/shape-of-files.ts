// The shape of a model that is here, read off the headers of its files. Loads nothing.

import { type GgufHeader, readGgufHeader } from "../../formats/gguf/read-header.ts";
import { withFile } from "../../formats/read-at.ts";
import type { ModelShape } from "./model-shape.ts";
import { readShape } from "./shape-from-gguf.ts";

/** All parts, the first one first. Null: it has no layers that could be counted. Throws what the files' headers throw. */
export function readShapeOfFiles(paths: readonly string[]): ModelShape | null {
  return readShape(paths.map((path): GgufHeader => withFile(path, (file) => readGgufHeader(file, { tensors: true }))));
}
