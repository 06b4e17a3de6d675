// Folders of large models that take no disk space: the weights are a hole in the file but for the last ones, since it is
// their size that matters. And what a process that converts them takes of the memory.

import {
  appendFileSync,
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { tinyTokenizer } from "./hf-tokenizers.ts";
import { makeRandom } from "./random.ts";
import { configOf, makeTensors, TINY, type TinyDecoder } from "./tiny-decoders.ts";

/** 200 MB of BF16 in matrices of 16.8 MB: to convert it takes a good part of a second. */
export const LARGE: TinyDecoder = {
  ...TINY,
  dtype: "BF16",
  width: 1024,
  inner: 8192,
  heads: 8,
  keyValueHeads: 2,
  headLength: 128,
  layers: 4,
};

/** Zeros at the end would be a download that was not finished. */
const TAIL = new Uint8Array(new Uint16Array(2048).fill(0x3c00).buffer);

/** In BF16, in as many parts as the model says. All layers are like the first. */
export function writeSparseFolder(folder: string, model: TinyDecoder = LARGE): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), JSON.stringify(configOf({ ...model, dtype: "BF16" })));
  for (const [name, content] of Object.entries(tinyTokenizer())) {
    writeFileSync(join(folder, name), JSON.stringify(content));
  }
  const shapes = listShapes(model);
  const perPart = Math.ceil(shapes.length / model.parts);
  const number = (value: number) => String(value).padStart(5, "0");
  const weightMap: Record<string, string> = {};
  for (let part = 0; part < model.parts; part++) {
    const of = shapes.slice(part * perPart, (part + 1) * perPart);
    const one = model.parts === 1;
    const name = one ? "model.safetensors" : `model-${number(part + 1)}-of-${number(model.parts)}.safetensors`;
    for (const [tensor] of of) weightMap[tensor] = name;
    writePart(join(folder, name), of);
  }
  if (model.parts === 1) return;
  const index = { metadata: { total_size: 0 }, weight_map: weightMap };
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify(index));
}

function listShapes(model: TinyDecoder): [name: string, shape: number[]][] {
  const first = [...makeTensors({ ...model, layers: 1 })].map(([name, { shape }]): [string, number[]] => [name, shape]);
  const ofLayer = first.filter(([name]) => name.includes("layers.0."));
  const others = Array.from({ length: model.layers - 1 }, (_, index) =>
    ofLayer.map(([name, shape]): [string, number[]] => [name.replace("layers.0.", `layers.${index + 1}.`), shape]),
  );
  return [...first, ...others.flat()];
}

function writePart(path: string, shapes: readonly [name: string, shape: number[]][]): void {
  const header: Record<string, unknown> = {};
  let at = 0;
  for (const [name, shape] of shapes) {
    const bytes = shape.reduce((product, size) => product * size, 2);
    header[name] = { dtype: "BF16", shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text]));
  truncateSync(path, 8 + text.length + at - TAIL.length);
  appendFileSync(path, TAIL);
}

/** Numbers about 0 in place of the holes, which then take their size on disk. */
export function fillWeights(folder: string): void {
  const random = makeRandom(5);
  // Exponents about 2^-6, and any sign and mantissa.
  const noise = () => (random(2) << 15) | ((118 + random(5)) << 7) | random(128);
  const chunk = new Uint8Array(Uint16Array.from({ length: 512 * 1024 }, noise).buffer);
  for (const name of readdirSync(folder).filter((entry) => entry.endsWith(".safetensors"))) {
    fillFile(join(folder, name), chunk);
  }
}

function fillFile(path: string, chunk: Uint8Array): void {
  const descriptor = openSync(path, "r+");
  try {
    const length = Buffer.alloc(8);
    readSync(descriptor, length, 0, 8, 0);
    const { size } = fstatSync(descriptor);
    for (let at = 8 + Number(length.readBigUInt64LE()); at < size; at += chunk.byteLength) {
      writeSync(descriptor, chunk, 0, Math.min(chunk.byteLength, size - at), at);
    }
  } finally {
    closeSync(descriptor);
  }
}

/** Private memory, in bytes; 0 once the process is gone. */
export function readRssAnon(pid: number): number {
  try {
    const kilobytes = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return Number(kilobytes ?? 0) * 1024;
  } catch (_ended) {
    // Between two looks it has ended.
    return 0;
  }
}

/** Processes that this one has started and that still run (Linux). */
export function listChildren(pid: number): number[] {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const lists = threads.map((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8"));
    return lists.flatMap((list) =>
      list
        .split(" ")
        .filter((word) => word !== "")
        .map(Number),
    );
  } catch (_ended) {
    // Between two looks it has ended.
    return [];
  }
}
