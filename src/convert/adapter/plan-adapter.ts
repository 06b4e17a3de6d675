// The tensors of a PEFT adapter as those of a GGUF adapter: for each weight that it changes two factors, `lora_a` and `lora_b`,
// named after the tensor that the weight has become. What its base does with the rows of a weight is done with the second.

import { damagedModel } from "../json-file.ts";
import { type PlannedTensor, takeWhole } from "../model-plan.ts";
import { nameSome, type Weight } from "../weights.ts";
import type { AdapterBase, BaseTarget } from "./adapter-base.ts";
import { type AdapterConfig, refuse } from "./adapter-config.ts";

interface Factors {
  a?: Weight;
  b?: Weight;
  /** Of an embedding: the first factor has a column for each token. */
  isEmbedding: boolean;
}

export interface AdapterPlan {
  tensors: PlannedTensor[];
  notes: string[];
}

const FACTOR = /^(.+)\.lora_(embedding_)?([AB])(?:\.default)?(?:\.weight)?$/;
const PREFIX = /^base_model\.model\./;
/** What mergekit puts into the adapters that it extracts. */
const NORM = /norm\.weight$/;

export function planAdapter(
  weights: ReadonlyMap<string, Weight>,
  config: AdapterConfig,
  base: AdapterBase,
): AdapterPlan {
  const pairs = new Map<string, Factors>();
  const norms: string[] = [];
  const others: string[] = [];
  for (const weight of weights.values()) {
    const name = weight.name.replace(PREFIX, "");
    const [, layer, embedding, side] = FACTOR.exec(name) ?? [];
    if (layer !== undefined) {
      const pair = pairs.get(layer) ?? { isEmbedding: embedding !== undefined };
      pairs.set(layer, { ...pair, [side === "A" ? "a" : "b"]: weight });
    } else if (NORM.test(name)) norms.push(name);
    else if (!name.endsWith(".base_layer.weight")) others.push(name);
  }
  if (others.length > 0) throw refuse(`${others.length} tensors of the adapter are no factors: ${nameSome(others)}`);
  if (pairs.size === 0)
    throw damagedModel("the adapter has no tensors named lora_A and lora_B", "Fetch its files again.");
  const tensors = [...pairs].flatMap(([layer, pair]) => planPair(layer, pair, config, base));
  const notes =
    norms.length === 0
      ? []
      : [`${norms.length} norms are left out, which llama.cpp does not take from adapters: ${nameSome(norms)}`];
  return { tensors, notes };
}

function planPair(
  layer: string,
  { a, b, isEmbedding }: Factors,
  config: AdapterConfig,
  base: AdapterBase,
): PlannedTensor[] {
  if (a === undefined || b === undefined) {
    throw damagedModel(`the adapter has only one factor of ${layer.slice(0, 120)}`, "Fetch its files again.");
  }
  const targets = findTargets(layer, base);
  if (isEmbedding !== targets.some(({ name }) => name === "token_embd.weight")) {
    throw refuse(`the adapter changes ${layer.slice(0, 120)} in a way that is not converted`);
  }
  const rank = b.shape[1] ?? 0;
  const factor = config.factorOf(layer, rank);
  const map =
    factor === 1
      ? {}
      : {
          map: (values: Float32Array) =>
            values.forEach((value, i) => {
              values[i] = value * factor;
            }),
        };
  return targets.flatMap((target): PlannedTensor[] => {
    const { name, columns, weightRows, fromRow, rows, heads } = target;
    // The tokens of an embedding are its rows, and the first factor's columns.
    const [inputs, outputs] = isEmbedding ? [weightRows, columns] : [columns, weightRows];
    requireSizes(a, [rank, inputs], layer);
    requireSizes(b, [outputs, rank], layer);
    const [aDims, bDims] = [isEmbedding ? [rank, inputs] : [inputs, rank], [rank, isEmbedding ? outputs : rows]];
    const second = { weight: b, fromRow, rows: bDims[1] ?? 0, heads };
    return [
      { name: `${name}.lora_a`, dims: aDims, source: isEmbedding ? { kind: "transposed", weight: a } : takeWhole(a) },
      { name: `${name}.lora_b`, dims: bDims, source: { kind: "slices", slices: [second], ...map } },
    ];
  });
}

/** Under its name, or as it is called in a model with, or without, an output head. */
function findTargets(layer: string, base: AdapterBase): readonly BaseTarget[] {
  for (const name of [layer, `model.${layer}`, layer.replace(/^model\./, "")]) {
    const found = base.find(`${name}.weight`);
    if (found.length > 0) return found;
  }
  const message = `the adapter changes ${layer.slice(0, 120)}, which its base as ${base.architecture} does not have`;
  throw refuse(
    message,
    "Name the model that it was trained with by --base. An output head that is tied to the embeddings can't have one.",
  );
}

function requireSizes({ name, shape }: Weight, expected: readonly number[], layer: string): void {
  if (shape.length === expected.length && shape.every((size, i) => size === expected[i]) && !expected.includes(0))
    return;
  const claim = `the tensor "${name.slice(0, 120)}" has the shape [${shape.join(", ")}]`;
  throw damagedModel(
    `${claim}, where [${expected.join(", ")}] fits ${layer.slice(0, 80)} of the base`,
    "Name the model that it was trained with by --base.",
  );
}
