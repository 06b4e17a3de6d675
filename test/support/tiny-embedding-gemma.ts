// A tiny EmbeddingGemma: Gemma 3 that looks both ways, the mean of its states, and two dense layers in folders of their own.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { multiply, Tensors } from "./reference-parts.ts";
import { writeSafetensors } from "./safetensors-writer.ts";
import { encode } from "./tiny-decoders.ts";
import { TensorList, type TinyFamily, writeFamilyFolder } from "./tiny-families.ts";
import { GEMMA3 } from "./tiny-family-models.ts";
import { computeGemmaStates, makeGemma } from "./tiny-gemma.ts";

const CHOICES = { ...GEMMA3, prefix: "" };
const WIDTH = 64;
const BETWEEN = 96;
const MODULES = ["Transformer", "Pooling", "Dense", "Dense", "Normalize"];

export interface TinyEmbeddingGemma {
  family: TinyFamily;
  dense: TensorList;
}

export function makeEmbeddingGemma(): TinyEmbeddingGemma {
  const family = makeGemma(CHOICES);
  const dense = new TensorList("F32");
  dense.matrix("2_Dense", BETWEEN, WIDTH);
  dense.matrix("3_Dense", WIDTH, BETWEEN);
  const config = {
    ...family.config,
    architectures: ["Gemma3TextModel"],
    use_bidirectional_attention: true,
    final_logit_softcapping: null,
  };
  return { family: { ...family, config }, dense };
}

export function writeEmbeddingGemma(
  folder: string,
  { family, dense }: TinyEmbeddingGemma,
  files: Record<string, unknown>,
): void {
  const modules = MODULES.map((kind, idx) => {
    const path = kind === "Transformer" ? "" : `${idx}_${kind}`;
    return { idx, name: String(idx), path, type: `sentence_transformers.models.${kind}` };
  });
  for (const path of ["1_Pooling", "2_Dense", "3_Dense"]) mkdirSync(join(folder, path), { recursive: true });
  writeFamilyFolder(folder, family, { ...files, "modules.json": modules });
  const pooling = { word_embedding_dimension: WIDTH, pooling_mode_mean_tokens: true };
  writeFileSync(join(folder, "1_Pooling", "config.json"), JSON.stringify(pooling));
  for (const path of ["2_Dense", "3_Dense"]) {
    const { shape, values } = new Tensors(dense.tensors).get(`${path}.weight`);
    const [outputs, inputs] = shape;
    const activation = "torch.nn.modules.linear.Identity";
    const settings = { in_features: inputs, out_features: outputs, bias: false, activation_function: activation };
    writeFileSync(join(folder, path, "config.json"), JSON.stringify(settings));
    const tensor = { name: "linear.weight", dtype: "F32", shape, data: encode("F32", values) };
    writeFileSync(join(folder, path, "model.safetensors"), writeSafetensors([tensor]));
  }
}

/** A vector of length one. */
export function embedByGemma({ family, dense }: TinyEmbeddingGemma, tokens: readonly number[]): Float64Array {
  const states = computeGemmaStates(CHOICES, new Tensors(family.tensors), tokens, true);
  const mean = new Float64Array(WIDTH).map(
    (_, i) => states.reduce((sum, state) => sum + (state[i] as number), 0) / states.length,
  );
  const layers = new Tensors(dense.tensors);
  const out = ["2_Dense", "3_Dense"].reduce<Float64Array>(
    (state, path) => multiply(layers.get(`${path}.weight`).values, state),
    mean,
  );
  const length = Math.hypot(...out);
  return out.map((value) => value / length);
}
