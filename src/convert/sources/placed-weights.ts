// Weights whose bytes lie one behind the other in their files, in the order of their shape: a name leads to a place.

import { keyOf, type Weight, type WeightSource } from "../weights.ts";
import { PartReader } from "./parts.ts";

export interface Place {
  path: string;
  start: number;
}

export class PlacedWeights implements WeightSource {
  readonly tensors: ReadonlyMap<string, Weight>;
  readonly #places: ReadonlyMap<string, Place>;
  readonly #files = new PartReader();

  constructor(tensors: ReadonlyMap<string, Weight & Place>) {
    this.tensors = tensors;
    this.#places = tensors;
  }

  read(weight: Weight, offset: number, target: Uint8Array): void {
    const place = this.#places.get(keyOf(weight));
    if (place === undefined) throw new Error(`the tensor ${weight.name} is in no file`);
    this.#files.read(place.path, place.start + offset, target);
  }

  [Symbol.dispose](): void {
    this.#files[Symbol.dispose]();
  }
}
