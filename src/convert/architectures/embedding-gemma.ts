// EmbeddingGemma: Gemma 3 that looks both ways, and behind its pooling two dense layers, which lie in folders of their own.

import { join } from "node:path";
import { toFloats, toSourceType } from "../encode-values.ts";
import { damagedModel, Fields, readJsonFile } from "../json-file.ts";
import type { ModelPlan, PlanInput, PlannedTensor } from "../model-plan.ts";
import { listModules, readPooling } from "../pooling.ts";
import { SafetensorsWeights } from "../sources/safetensors.ts";
import { countElements } from "../weights.ts";
import { checkActivation, refuseVariant } from "./checks.ts";
import { readSizes } from "./decoder.ts";
import { checkPattern, listGemma3Keys, listGemma3Slots } from "./gemma3.ts";

export const EMBEDDING_GEMMA_NAMES: readonly string[] = ["Gemma3TextModel"];

const NAME = "gemma-embedding";
/** Folders of the layers, as they are called, and llama.cpp's names of them. */
const DENSE: readonly (readonly [folder: string, name: string])[] = [
  ["2_Dense", "dense_2"],
  ["3_Dense", "dense_3"],
];
/** Of such a layer: the published ones have 2.4 million. */
const ELEMENTS_MAX = 64 * 1024 * 1024;

export function planEmbeddingGemma(input: PlanInput): ModelPlan {
  const { config, folder } = input;
  const sizes = readSizes(config, { defaults: { contextLength: 131_072, keyValueHeads: 4, headLength: 256 } });
  checkActivation(config, "hidden_activation", ["gelu_pytorch_tanh"]);
  if (config.truth("use_bidirectional_attention") !== true) {
    throw refuseVariant("config.json does not ask for attention in both directions, which llama.cpp computes here");
  }
  if (!checkPattern(config, sizes)) throw refuseVariant("config.json has no windows, which llama.cpp applies here");
  const { keys, rope } = listGemma3Keys(NAME, sizes, input);
  keys.u32("attention.sliding_window", config.requiredSize("sliding_window"));
  const dense = listDense(folder).map(([path, name]) => readDense(folder, path, name));
  for (const { name, inputs, outputs } of dense) {
    keys.u32(`${name}_feat_in`, inputs);
    keys.u32(`${name}_feat_out`, outputs);
  }
  const [first, last] = [dense[0]?.inputs ?? sizes.width, dense.at(-1)?.outputs ?? sizes.width];
  if (first !== sizes.width || last !== sizes.width || dense.length === 1) {
    throw refuseVariant(`the layers behind the pooling do not lead from ${sizes.width} numbers to as many`);
  }
  const pooling = readPooling(folder);
  if (pooling !== null) keys.u32("pooling_type", pooling);
  const tensors = listGemma3Slots(NAME, sizes).lay(input.weights);
  const layers = dense.map(({ tensor }) => tensor);
  return { architecture: NAME, metadata: keys.entries, tensors: [...layers, ...tensors], notes: rope.notes };
}

/** Those that modules.json names. */
function listDense(folder: string): typeof DENSE {
  const paths = listModules(folder).flatMap((module) =>
    module.text("type")?.endsWith("Dense") === true ? [module.text("path") ?? ""] : [],
  );
  const known = DENSE.filter(([path]) => paths.includes(path));
  if (known.length === paths.length) return known;
  throw refuseVariant(`modules.json names other layers than ${DENSE.map(([path]) => path).join(" and ")}`);
}

interface DenseLayer {
  name: string;
  inputs: number;
  outputs: number;
  tensor: PlannedTensor;
}

function readDense(folder: string, path: string, name: string): DenseLayer {
  const settings = readJsonFile(folder, `${path}/config.json`) ?? new Fields(`${path}/config.json`, {});
  const [inputs, outputs] = [settings.requiredSize("in_features"), settings.requiredSize("out_features")];
  const activation = settings.text("activation_function") ?? "Identity";
  if (!activation.endsWith("Identity") || settings.truth("bias") === true) {
    throw refuseVariant(`${path} has a bias, or the activation "${activation.slice(0, 60)}"`);
  }
  using weights = SafetensorsWeights.open(join(folder, path));
  const weight = weights.tensors.get("linear.weight");
  if (weight === undefined || weight.shape.join() !== `${outputs},${inputs}`) {
    throw damagedModel(`${path} has no linear.weight of [${outputs}, ${inputs}]`, "Fetch the whole folder again.");
  }
  if (countElements(weight.shape) > ELEMENTS_MAX) throw damagedModel(`${path} claims ${outputs} × ${inputs} numbers`);
  const type = toSourceType(weight.dtype, weight.name);
  const bytes = new Uint8Array(countElements(weight.shape) * (type === "F32" ? 4 : 2));
  weights.read(weight, 0, bytes);
  const source = { kind: "values", values: toFloats(bytes, type) } as const;
  return { name, inputs, outputs, tensor: { name: `${name}.weight`, dims: [inputs, outputs], source } };
}
