// What several architectures ask of config.json: sizes that fit together, and nothing that llama.cpp's graph does not
// compute, since the model would run and answer wrongly. Pure.

import { AppError } from "../../protocol/errors.ts";
import { damagedModel, type Fields } from "../json-file.ts";

/** Deeper ones are not known, and every layer is looked for by name. */
const LAYERS_MAX = 1_024;

export function readLayers(config: Fields, name: string): number {
  const layers = config.requiredSize(name);
  if (layers > LAYERS_MAX) throw config.wrong(name, `at most ${LAYERS_MAX}`);
  return layers;
}

/** Heads of Q share those of K and V in groups of one size. */
export function readKeyValueHeads(config: Fields, heads: number, standard: number): number {
  const keyValueHeads = config.size("num_key_value_heads") ?? standard;
  if (heads % keyValueHeads === 0) return keyValueHeads;
  throw config.wrong("num_key_value_heads", `a divisor of the ${heads} attention heads`);
}

/** Elements are turned in pairs. */
export function checkRotation(headLength: number): void {
  if (headLength >= 2 && headLength % 2 === 0) return;
  throw damagedModel(`config.json: heads of ${headLength} elements can't be rotated`, "Fetch config.json again.");
}

/** Some graphs take the width for the length of all heads together. */
export function checkHeadsFillWidth(sizes: { heads: number; headLength: number; width: number }): void {
  const { heads, headLength, width } = sizes;
  if (heads * headLength === width) return;
  throw refuseVariant(`${heads} heads of ${headLength} are not the width of ${width} that llama.cpp expects`);
}

export function refuseVariant(message: string): AppError {
  return new AppError({ code: "format_unsupported", message, hint: "The model is a variant that can't be converted." });
}

/** The graphs have one activation each. The first that is allowed is the one where config.json names none. */
export function checkActivation(config: Fields, key: string, allowed: readonly string[]): void {
  const [standard = ""] = allowed;
  const activation = config.text(key) ?? standard;
  if (allowed.includes(activation)) return;
  const asked = `config.json asks for the activation "${activation.slice(0, 40)}"`;
  throw refuseVariant(`${asked}; this architecture has ${standard}`);
}

/** All layers but each `period`-th see a window only. */
export function checkLayerTypes(config: Fields, layers: number, period: number): void {
  const types = config.list("layer_types");
  if (types.length === 0) return;
  const expected = Array.from({ length: layers }, (_, layer) =>
    (layer + 1) % period === 0 ? "full_attention" : "sliding_attention",
  );
  if (types.length === layers && expected.every((type, layer) => type === types[layer])) return;
  throw refuseVariant(
    `config.json has another order of layers with a window than llama.cpp, where each ${period}. is full`,
  );
}

/** A number that the graph can't do without: null in config.json means that the step is left out. */
export function requireNumber(config: Fields, key: string, standard: number): number {
  if (config.values[key] === null) {
    throw refuseVariant(`config.json leaves out ${key}, which llama.cpp always applies to this architecture`);
  }
  const value = config.number(key) ?? standard;
  if (value <= 0) throw config.wrong(key, "a number over 0");
  return value;
}
