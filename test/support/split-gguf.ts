// Splits a GGUF file into two, as llama.cpp's gguf-split does: the first part has all metadata, each has its tensors.

import { readFileSync } from "node:fs";
import { type GgufLayout, scanGguf } from "./gguf-layout.ts";
import { type MetadataValue, type TensorSource, writeGguf } from "./gguf-writer.ts";

/** Tensors in F32 and F16 alone. Returns the parts' paths, the first one first. */
export function splitGguf(path: string, stem: string): string[] {
  const bytes = new Uint8Array(readFileSync(path));
  const layout = scanGguf(bytes);
  const half = layout.tensors.length >> 1;
  const copied = layout.metadata.map(({ key, typeId, valueAt, end }): [string, MetadataValue] => [
    key,
    { type: "raw", typeId, bytes: bytes.slice(valueAt, end) },
  ]);
  return [0, 1].map((part) => {
    const target = `${stem}-0000${part + 1}-of-00002.gguf`;
    const split: [string, MetadataValue][] = [
      ["split.no", { type: "u16", value: part }],
      ["split.count", { type: "u16", value: 2 }],
      ["split.tensors.count", { type: "i32", value: layout.tensors.length }],
    ];
    const all = layout.tensors.map((_, index) => copyTensor(bytes, layout, index));
    const tensors = part === 0 ? all.slice(0, half) : all.slice(half);
    writeGguf(target, { metadata: part === 0 ? [...copied, ...split] : split, tensors });
    return target;
  });
}

function copyTensor(bytes: Uint8Array, { tensors, dataAt }: GgufLayout, index: number): TensorSource {
  const tensor = tensors[index];
  if (tensor === undefined) throw new Error(`there is no tensor ${index}`);
  const { name, dimensions, typeId, offset } = tensor;
  const count = dimensions.reduce((product, size) => product * size, 1);
  const data = bytes.slice(dataAt + offset, dataAt + offset + count * (typeId === 0 ? 4 : 2)).buffer;
  const values = typeId === 0 ? new Float32Array(data) : Float32Array.from(new Float16Array(data));
  return {
    name,
    shape: dimensions,
    type: typeId === 0 ? "F32" : "F16",
    fill: (out, start) => out.set(values.subarray(start, start + out.length)),
  };
}
