// The forward passes of Nomic's BERT and of ModernBERT from their definitions, in plain TypeScript and double precision.

import { attend, gelu, sum, type Tensors, Weights } from "./reference-encoder.ts";
import type { TinyEncoder } from "./tiny-encoders.ts";
import { MODERN_PERIOD, MODERN_THETAS, MODERN_WINDOW, NOMIC_THETA } from "./tiny-rotary-encoders.ts";

/** States of all tokens behind the last layer. */
export function computeRotaryStates(model: TinyEncoder, tensors: Tensors, tokens: readonly number[]): Float64Array[] {
  const weights = new Weights(tensors, model.prefix);
  return model.modelType === "nomic_bert" ? runNomic(model, weights, tokens) : runModern(model, weights, tokens);
}

function runNomic(model: TinyEncoder, weights: Weights, tokens: readonly number[]): Float64Array[] {
  const { width, epsilon, heads } = model;
  const kind = weights.row("embeddings.token_type_embeddings", 0, width);
  let states = tokens.map((token) =>
    weights.norm("emb_ln", sum(weights.row("embeddings.word_embeddings", token, width), kind), epsilon),
  );
  for (let layer = 0; layer < model.layers; layer++) {
    const at = `encoder.layers.${layer}.`;
    const attended = attendRotated(weights, `${at}attn.Wqkv`, states, heads, NOMIC_THETA, null);
    states = states.map((state, i) => {
      const out = weights.linear(`${at}attn.out_proj`, attended[i] as Float64Array);
      const middle = weights.norm(`${at}norm1`, sum(state, out), epsilon);
      const gate = weights.linear(`${at}mlp.fc12`, middle);
      const up = weights.linear(`${at}mlp.fc11`, middle).map((value, k) => value * silu(gate[k] as number));
      return weights.norm(`${at}norm2`, sum(middle, weights.linear(`${at}mlp.fc2`, up)), epsilon);
    });
  }
  return states;
}

function runModern(model: TinyEncoder, weights: Weights, tokens: readonly number[]): Float64Array[] {
  const { width, inner, epsilon, heads } = model;
  let states = tokens.map((token) =>
    weights.norm("embeddings.norm", weights.row("embeddings.tok_embeddings", token, width), epsilon),
  );
  for (let layer = 0; layer < model.layers; layer++) {
    const at = `layers.${layer}.`;
    const isGlobal = layer % MODERN_PERIOD === 0;
    const inputs = layer === 0 ? states : states.map((state) => weights.norm(`${at}attn_norm`, state, epsilon));
    const theta = isGlobal ? MODERN_THETAS.global : MODERN_THETAS.local;
    const reach = isGlobal ? null : MODERN_WINDOW / 2;
    const attended = attendRotated(weights, `${at}attn.Wqkv`, inputs, heads, theta, reach);
    states = states.map((state, i) => {
      const middle = sum(state, weights.linear(`${at}attn.Wo`, attended[i] as Float64Array));
      const both = weights.linear(`${at}mlp.Wi`, weights.norm(`${at}mlp_norm`, middle, epsilon));
      const gated = both.slice(0, inner).map((value, k) => gelu(value) * (both[inner + k] as number));
      return sum(middle, weights.linear(`${at}mlp.Wo`, gated));
    });
  }
  return states.map((state) => weights.norm("final_norm", state, epsilon));
}

/** A reranker's score: of the mean of all tokens. */
export function computeModernScore(model: TinyEncoder, tensors: Tensors, tokens: readonly number[]): number {
  const states = computeRotaryStates(model, tensors, tokens);
  const mean = states.reduce(sum).map((value) => value / states.length);
  const head = new Weights(tensors, "");
  const hidden = head.norm("head.norm", head.linear("head.dense", mean).map(gelu), model.epsilon);
  return head.linear("classifier", hidden)[0] as number;
}

/** One projection for queries, keys and values; element i of a head turns with element i + half. */
function attendRotated(
  weights: Weights,
  name: string,
  inputs: readonly Float64Array[],
  heads: number,
  theta: number,
  reach: number | null,
): Float64Array[] {
  const fused = inputs.map((input) => weights.linear(name, input));
  const part = (index: number) =>
    fused.map((all) => all.slice((index * all.length) / 3, ((index + 1) * all.length) / 3));
  const turn = (rows: Float64Array[]) => rows.map((row, position) => rotate(row, position, heads, theta));
  return attend(turn(part(0)), turn(part(1)), part(2), heads, reach);
}

function rotate(row: Float64Array, position: number, heads: number, theta: number): Float64Array {
  const out = new Float64Array(row.length);
  const half = row.length / heads / 2;
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < half; i++) {
      const angle = position * theta ** (-i / half);
      const first = head * 2 * half + i;
      const [a, b] = [row[first] as number, row[first + half] as number];
      out[first] = a * Math.cos(angle) - b * Math.sin(angle);
      out[first + half] = b * Math.cos(angle) + a * Math.sin(angle);
    }
  }
  return out;
}

const silu = (x: number): number => x / (1 + Math.exp(-x));
