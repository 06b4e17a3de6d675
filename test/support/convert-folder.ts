// Runs the converter in tests: a described folder in, a GGUF and what its header says out.

import { readFileSync } from "node:fs";
import { type ConvertReport, convertModel } from "../../src/convert/convert-model.ts";
import type { OutType } from "../../src/convert/out-types.ts";
import { type MetadataEntry, scanGguf } from "./gguf-layout.ts";

export interface Converted {
  path: string;
  report: ConvertReport;
}

/** Beside the source folder, under its name. */
export async function convertFolder(source: string, outType: OutType | "auto" = "f32"): Promise<Converted> {
  const { signal } = new AbortController();
  const target = (type: OutType) => `${source}-${type}.gguf`;
  const report = await convertModel({ source, target, outType, force: false, signal, onProgress: () => {} });
  return { path: report.target, report };
}

export interface WrittenFile {
  bytes: Uint8Array;
  keys: string[];
  /** A scalar or a text; arrays as `[length]`. */
  value: (key: string) => string | number | boolean | undefined;
  entry: (key: string) => MetadataEntry | undefined;
  tensor: (name: string) => { dims: number[]; typeId: number; offset: number; data: Uint8Array };
  tensorNames: string[];
}

export function readWritten(path: string): WrittenFile {
  const bytes = new Uint8Array(readFileSync(path));
  const layout = scanGguf(bytes);
  const entry = (key: string) => layout.metadata.find((candidate) => candidate.key === key);
  return {
    bytes,
    keys: layout.metadata.map(({ key }) => key),
    entry,
    value: (key) => {
      const found = entry(key);
      return found === undefined ? undefined : readValue(bytes, found);
    },
    tensor: (name) => {
      const index = layout.tensors.findIndex((tensor) => tensor.name === name);
      const found = layout.tensors[index];
      if (found === undefined) throw new Error(`there is no tensor ${name}`);
      const end = layout.tensors[index + 1]?.offset ?? bytes.length - layout.dataAt;
      const data = bytes.slice(layout.dataAt + found.offset, layout.dataAt + end);
      return { dims: found.dimensions, typeId: found.typeId, offset: found.offset, data };
    },
    tensorNames: layout.tensors.map(({ name }) => name),
  };
}

function readValue(bytes: Uint8Array, { typeId, valueAt }: MetadataEntry): string | number | boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset + valueAt);
  switch (typeId) {
    case 4:
      return view.getUint32(0, true);
    case 5:
      return view.getInt32(0, true);
    case 6:
      return view.getFloat32(0, true);
    case 7:
      return view.getUint8(0) !== 0;
    case 8: {
      const length = Number(view.getBigUint64(0, true));
      return new TextDecoder().decode(bytes.subarray(valueAt + 8, valueAt + 8 + length));
    }
    default:
      return `[${view.getBigUint64(4, true)}]`;
  }
}
