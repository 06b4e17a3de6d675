// What stands between the files of a model and its architecture: tensors by name, and their bytes by ranges. Knows no
// format; src/convert/sources/ has one file for each.

export interface Weight {
  name: string;
  /** Its name in its source, where an architecture calls it something else. */
  key?: string;
  /** In SafeTensors' words, such as `BF16`. */
  dtype: string;
  /** Slowest-varying dimension first. */
  shape: readonly number[];
  /** Of a weight that was unpacked: the 16-bit type of the scales that it was made with. */
  halfType?: "F16" | "BF16";
}

/** Tensors by name, and their bytes. */
export interface WeightSource extends Disposable {
  /** In the order in which they are written. */
  readonly tensors: ReadonlyMap<string, Weight>;
  /** Fills `target` with bytes of one of `tensors`, in the type that `dtype` names, from `offset` on. */
  read(weight: Weight, offset: number, target: Uint8Array): void;
}

/** By which a source knows a weight. */
export function keyOf({ key, name }: Weight): string {
  return key ?? name;
}

export function countElements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

export function nameSome(names: readonly string[]): string {
  const shown = names.slice(0, 3).map((name) => name.slice(0, 80));
  return shown.join(", ") + (names.length > shown.length ? ", …" : "");
}
