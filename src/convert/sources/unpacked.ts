// A source in which packed weights are offered as what they stand for: matrices in single precision, whose rows are made when
// they are read. The tensors that they are made of are hidden. How a weight is packed is its method's business.

import { asBytes } from "../encode-values.ts";
import { keyOf, type Weight, type WeightSource } from "../weights.ts";
import { StoredValues } from "./stored-values.ts";

/** Writes rows of a weight, counted over all dimensions but the last, into `out`. */
export type FillRows = (fromRow: number, rows: number, out: Float32Array) => void;

export interface UnpackedWeight {
  /** Of the type F32. */
  weight: Weight;
  /** Names of what it is made of; it takes the place of the first. */
  parts: readonly string[];
  /** Reads what all rows need, such as scales. */
  open: (values: StoredValues) => FillRows;
}

export interface Unpacking {
  weights: readonly UnpackedWeight[];
  /** Tensors that only a server of packed weights needs. */
  hidden: readonly string[];
  /** llama.cpp's converter writes what has got another name behind everything else. */
  isAppended: boolean;
}

export class UnpackedWeights implements WeightSource {
  readonly tensors: ReadonlyMap<string, Weight>;
  readonly #source: WeightSource;
  readonly #unpacked: ReadonlyMap<string, UnpackedWeight>;
  readonly #values: StoredValues;
  /** One at a time: they are read one after the other, and scales take memory. */
  #open: { name: string; fill: FillRows } | null = null;

  constructor(source: WeightSource, { weights, hidden, isAppended }: Unpacking) {
    this.#source = source;
    this.#values = new StoredValues(source);
    this.#unpacked = new Map(weights.map((unpacked) => [unpacked.weight.name, unpacked]));
    const heads = new Map(weights.map((unpacked) => [unpacked.parts[0] ?? "", unpacked.weight]));
    const gone = new Set([...hidden, ...weights.flatMap(({ parts }) => parts)]);
    const tensors = new Map<string, Weight>();
    for (const weight of source.tensors.values()) {
      const head = isAppended ? undefined : heads.get(weight.name);
      if (head !== undefined) tensors.set(head.name, head);
      else if (!gone.has(weight.name)) tensors.set(weight.name, weight);
    }
    if (isAppended) for (const { weight } of weights) tensors.set(weight.name, weight);
    this.tensors = tensors;
  }

  read(weight: Weight, offset: number, target: Uint8Array): void {
    const unpacked = this.#unpacked.get(keyOf(weight));
    if (unpacked === undefined) this.#source.read(weight, offset, target);
    else this.#readUnpacked(unpacked, offset, target);
  }

  #readUnpacked(unpacked: UnpackedWeight, offset: number, target: Uint8Array): void {
    const { name, shape } = unpacked.weight;
    if (this.#open?.name !== name) this.#open = { name, fill: unpacked.open(this.#values) };
    const columns = shape.at(-1) ?? 1;
    const first = offset / 4;
    const fromRow = Math.floor(first / columns);
    const toRow = Math.ceil((first + target.byteLength / 4) / columns);
    const aligned = target.byteOffset % 4 === 0 && (toRow - fromRow) * columns * 4 === target.byteLength;
    const rows = aligned
      ? new Float32Array(target.buffer, target.byteOffset, target.byteLength / 4)
      : new Float32Array((toRow - fromRow) * columns);
    this.#open.fill(fromRow, toRow - fromRow, rows);
    if (aligned) return;
    const skipped = offset - fromRow * columns * 4;
    target.set(asBytes(rows).subarray(skipped, skipped + target.byteLength));
  }

  [Symbol.dispose](): void {
    this.#open = null;
    this.#source[Symbol.dispose]();
  }
}

/** What stands for a packed weight. */
export function singlePrecision(name: string, shape: readonly number[], half: Pick<Weight, "halfType">): Weight {
  return { name, key: name, dtype: "F32", shape, ...half };
}
