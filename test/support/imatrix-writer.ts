// Importance matrices as llama-imatrix writes them: GGUF, and the older format without a name.

import { writeFileSync } from "node:fs";
import { type MetadataValue, writeGguf } from "./gguf-writer.ts";

export interface ImatrixEntry {
  name: string;
  /** Values of a row. */
  row: number;
  experts?: number;
}

const METADATA: readonly (readonly [string, MetadataValue])[] = [
  ["general.type", { type: "string", value: "imatrix" }],
  ["imatrix.datasets", { type: "array", of: "string", values: ["some text"] }],
  ["imatrix.chunk_count", { type: "u32", value: 7 }],
  ["imatrix.chunk_size", { type: "u32", value: 512 }],
];

/** Importance grows along a row, so that it tells on the result. `without`: keys to leave out. */
export function writeImatrix(path: string, entries: readonly ImatrixEntry[], without: readonly string[] = []): void {
  writeGguf(path, {
    metadata: METADATA.filter(([key]) => !without.includes(key)),
    tensors: entries.flatMap(({ name, row, experts = 1 }) => [
      { name: `${name}.in_sum2`, shape: [row, experts], type: "F32" as const, fill: fillSums(row) },
      { name: `${name}.counts`, shape: [1, experts], type: "F32" as const, fill: (out: Float32Array) => out.fill(4) },
    ]),
  });
}

const fillSums = (row: number) => (out: Float32Array, start: number) => {
  for (let i = 0; i < out.length; i++) out[i] = 4 * (1 + ((start + i) % row) ** 2);
};

export function writeOlderImatrix(path: string, entries: readonly ImatrixEntry[]): void {
  const number = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    return bytes;
  };
  const chunks = [number(entries.length)];
  for (const { name, row, experts = 1 } of entries) {
    const values = new Float32Array(row * experts);
    fillSums(row)(values, 0);
    const text = Buffer.from(name);
    chunks.push(number(text.length), text, number(4), number(values.length), Buffer.from(values.buffer));
  }
  chunks.push(number(7), number(4), Buffer.from("text"));
  writeFileSync(path, Buffer.concat(chunks));
}
