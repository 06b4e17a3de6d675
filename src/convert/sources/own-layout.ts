// Weights in the layout of Meta and Mistral themselves, and of MLX at first: offered by transformers' names. Where Meta spread a
// model over several files, each has a part of the rows, or of the columns, of every matrix; here they are whole again.

import { OWN_EMBEDDINGS, renameTensor } from "../../formats/meta/own-layout.ts";
import { SOURCE_BYTES, type SourceType } from "../encode-values.ts";
import { damagedModel, type Fields } from "../json-file.ts";
import { keyOf, type Weight, type WeightSource } from "../weights.ts";

/** These are cut by columns; the others by rows, but for norms, which each file has. */
const BY_COLUMNS = /\.(wo|w2)\.weight$/;
const REPLICATED = /norm\.weight$|^rope\.freqs$/;
/** Computed anew by whoever runs the model. */
const COMPUTED = "rope.freqs";

interface Joined {
  weight: Weight;
  parts: readonly { source: WeightSource; weight: Weight }[];
  byColumns: boolean;
}

export class JoinedWeights implements WeightSource {
  readonly tensors: ReadonlyMap<string, Weight>;
  readonly #sources: readonly WeightSource[];
  readonly #joined = new Map<string, Joined>();

  /** `width`: of the embeddings, which older models cut by columns and newer ones by rows. Throws where parts do not fit. */
  constructor(sources: readonly WeightSource[], width: number) {
    this.#sources = sources;
    for (const { name } of sources[0]?.tensors.values() ?? []) {
      const parts = sources.map((source) => ({ source, weight: takePart(source, name) }));
      this.#joined.set(name, joinParts(name, parts, width));
    }
    this.tensors = new Map([...this.#joined].map(([name, { weight }]) => [name, weight]));
  }

  read(weight: Weight, offset: number, target: Uint8Array): void {
    const joined = this.#joined.get(keyOf(weight));
    if (joined === undefined) throw new Error(`the tensor ${weight.name} is in no file`);
    if (joined.byColumns) readColumns(joined, offset, target);
    else readRows(joined, offset, target);
  }

  [Symbol.dispose](): void {
    for (const source of this.#sources) source[Symbol.dispose]();
  }
}

function takePart(source: WeightSource, name: string): Weight {
  const found = source.tensors.get(name);
  if (found === undefined) throw damagedModel(`the tensor "${name.slice(0, 80)}" is missing from one of the files`);
  return found;
}

function joinParts(name: string, parts: Joined["parts"], width: number): Joined {
  const [first] = parts;
  const weight = first?.weight as Weight;
  const [rows = 1, columns = 1] = weight.shape;
  if (parts.some((part) => part.weight.shape.join() !== weight.shape.join() || part.weight.dtype !== weight.dtype)) {
    throw damagedModel(`the parts of the tensor "${name.slice(0, 80)}" have different shapes or types`);
  }
  if (REPLICATED.test(name) || parts.length === 1) return { weight, parts: parts.slice(0, 1), byColumns: false };
  const byColumns = BY_COLUMNS.test(name) || (name === OWN_EMBEDDINGS && columns !== width);
  const shape = byColumns ? [rows, columns * parts.length] : [rows * parts.length, ...weight.shape.slice(1)];
  return { weight: { ...weight, key: name, shape }, parts, byColumns };
}

const bytesOf = ({ dtype, shape }: Weight): number =>
  shape.reduce((product, size) => product * size, SOURCE_BYTES[dtype as SourceType] ?? 1);

function readRows({ parts }: Joined, offset: number, target: Uint8Array): void {
  const partBytes = bytesOf((parts[0] as Joined["parts"][number]).weight);
  for (let done = 0; done < target.byteLength; ) {
    const at = offset + done;
    const { source, weight } = parts[Math.floor(at / partBytes)] as Joined["parts"][number];
    const count = Math.min(partBytes - (at % partBytes), target.byteLength - done);
    source.read(weight, at % partBytes, target.subarray(done, done + count));
    done += count;
  }
}

/** Whole rows at once of each part, then put side by side. */
function readColumns({ weight, parts }: Joined, offset: number, target: Uint8Array): void {
  const rowBytes = bytesOf(weight) / (weight.shape[0] ?? 1);
  const partBytes = rowBytes / parts.length;
  const fromRow = Math.floor(offset / rowBytes);
  const rows = Math.ceil((offset + target.byteLength) / rowBytes) - fromRow;
  const whole = new Uint8Array(rows * rowBytes);
  const held = new Uint8Array(rows * partBytes);
  for (const [index, { source, weight: part }] of parts.entries()) {
    source.read(part, fromRow * partBytes, held);
    for (let row = 0; row < rows; row++) {
      whole.set(held.subarray(row * partBytes, (row + 1) * partBytes), row * rowBytes + index * partBytes);
    }
  }
  const skipped = offset - fromRow * rowBytes;
  target.set(whole.subarray(skipped, skipped + target.byteLength));
}

/** By transformers' names. What has no such name keeps its own, and is refused by the architecture. */
export class OwnLayoutWeights implements WeightSource {
  readonly tensors: ReadonlyMap<string, Weight>;
  readonly #source: WeightSource;

  private constructor(source: WeightSource) {
    this.#source = source;
    const kept = [...source.tensors.values()].filter(({ name }) => name !== COMPUTED);
    const named = kept.map((weight): [string, Weight] => {
      const name = renameTensor(weight.name) ?? weight.name;
      return [name, { ...weight, name, key: keyOf(weight) }];
    });
    this.tensors = new Map(named);
  }

  /** The source itself where its tensors have transformers' names. */
  static rename(source: WeightSource): WeightSource {
    return source.tensors.has(OWN_EMBEDDINGS) ? new OwnLayoutWeights(source) : source;
  }

  read(weight: Weight, offset: number, target: Uint8Array): void {
    this.#source.read(weight, offset, target);
  }

  [Symbol.dispose](): void {
    this.#source[Symbol.dispose]();
  }
}

/** What the weights themselves say where params.json does not, and how their heads are turned: neighbours with neighbours. */
export function completeSizes(config: Fields, weights: WeightSource): Fields {
  if (!(weights instanceof OwnLayoutWeights)) return config;
  const rowsOf = (name: string) => weights.tensors.get(name)?.shape[0];
  return config.with({
    vocab_size: rowsOf("model.embed_tokens.weight") ?? config.value("vocab_size"),
    intermediate_size: rowsOf("model.layers.0.mlp.gate_proj.weight") ?? config.value("intermediate_size"),
    rotates_neighbours: true,
  });
}
