// MLX, and newer versions of transformers, keep the experts of a layer in one stack, the latter with two matrices in one;
// architectures know them one by one, as they are saved otherwise. This source gives each its own name, which reads its part.

import { SOURCE_BYTES, type SourceType } from "../encode-values.ts";
import { countElements, keyOf, type Weight, type WeightSource } from "../weights.ts";

const STACK =
  /^(.*)\.(?:switch_mlp\.(gate_proj|up_proj|down_proj)\.weight|experts\.(gate_up_proj|down_proj)(?:\.weight)?)$/;
/** What Mixtral calls the three matrices of an expert; others keep the names. */
const MIXTRAL_NAMES: Readonly<Record<string, string>> = { gate_proj: "w1", down_proj: "w2", up_proj: "w3" };
/** The largest published models have 512 in a layer. */
const EXPERTS_MAX = 4_096;

interface Part {
  stack: Weight;
  start: number;
}

export class StackedExperts implements WeightSource {
  readonly tensors: ReadonlyMap<string, Weight>;
  readonly #source: WeightSource;
  readonly #parts = new Map<string, Part>();

  private constructor(source: WeightSource) {
    this.#source = source;
    const tensors = new Map<string, Weight>();
    for (const weight of source.tensors.values()) {
      const names = nameExperts(weight);
      if (names === null) tensors.set(weight.name, weight);
      const [experts = 0, rows = 0, columns = 0] = weight.shape;
      const shape = [(rows * experts) / (names?.length ?? 1), columns];
      const bytes = countElements(shape) * (SOURCE_BYTES[weight.dtype as SourceType] ?? 1);
      for (const [index, name] of (names ?? []).entries()) {
        tensors.set(name, { ...weight, name, key: name, shape });
        this.#parts.set(name, { stack: weight, start: index * bytes });
      }
    }
    this.tensors = tensors;
  }

  /** The source itself where it has no stacks. */
  static split(source: WeightSource): WeightSource {
    const hasStacks = [...source.tensors.values()].some((weight) => nameExperts(weight) !== null);
    return hasStacks ? new StackedExperts(source) : source;
  }

  read(weight: Weight, offset: number, target: Uint8Array): void {
    const part = this.#parts.get(keyOf(weight));
    this.#source.read(part?.stack ?? weight, offset + (part?.start ?? 0), target);
  }

  [Symbol.dispose](): void {
    this.#source[Symbol.dispose]();
  }
}

/** In the order in which they lie. Null: the tensor is no stack. */
function nameExperts({ name, shape, dtype }: Weight): string[] | null {
  const [, path, single, fused] = STACK.exec(name) ?? [];
  const [experts = 0, rows = 0] = shape;
  if (path === undefined || shape.length !== 3 || experts > EXPERTS_MAX || !(dtype in SOURCE_BYTES)) return null;
  const kinds = fused === "gate_up_proj" ? ["gate_proj", "up_proj"] : [single ?? fused ?? ""];
  if (experts === 0 || rows % kinds.length !== 0) return null;
  const own = kinds.map((kind) => (path.endsWith(".block_sparse_moe") ? MIXTRAL_NAMES[kind] : kind));
  return Array.from({ length: experts }, (_, index) =>
    own.map((kind) => `${path}.experts.${index}.${kind}.weight`),
  ).flat();
}
