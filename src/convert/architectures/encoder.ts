// What encoders (BERT and its kin) have in common: keys, and tensors that are found by their names and checked against
// config.json before anything is written. Which names and shapes there are stands in the architectures' own files.

import type { GgufEntry } from "../../formats/gguf/write-header.ts";
import { AppError } from "../../protocol/errors.ts";
import { damagedModel, type Fields } from "../json-file.ts";
import type { PlanInput, PlannedTensor } from "../model-plan.ts";
import { readPooling } from "../pooling.ts";
import type { Weight } from "../weights.ts";
import { type Placement, SlotTable } from "./slots.ts";

export interface EncoderSizes {
  vocabulary: number;
  width: number;
  inner: number;
  layers: number;
  heads: number;
  /** Tokens of the longest text. */
  contextLength: number;
  /** Of layer norms. */
  epsilon: number;
}

/** Those that llama.cpp's "gelu" computes, but for its rounding. */
const GELU_NAMES: readonly string[] = ["gelu", "gelu_new", "gelu_fast", "gelu_python", "gelu_pytorch_tanh"];

/** The slots of an encoder: the weights and biases of its projections and norms. */
export class EncoderSlots {
  readonly table: SlotTable;
  readonly #prefix: string;

  /** `prefix`: before all names but the head's, where the model was saved with a head. */
  constructor(architecture: string, prefix: string, ignored: RegExp) {
    this.#prefix = prefix;
    this.table = new SlotTable({ architecture, prefix, ignored });
  }

  add(name: string, target: string, shape: readonly number[], placement: Placement = {}): void {
    this.table.place(this.#prefix + name, target, shape, placement);
  }

  /** Without the rows that no text gets to. */
  addPositions(name: string, target: string, skippedRows: number, [rows, width]: readonly [number, number]): void {
    const source = { name: this.#prefix + name, shape: [rows, width] };
    const kept = rows - skippedRows;
    const make = ([weight]: readonly Weight[]): PlannedTensor[] => {
      if (weight === undefined) return [];
      const slices = [{ weight, fromRow: skippedRows, rows: kept, heads: null }];
      return [{ name: target, dims: [width, kept], source: { kind: "slices", slices } }];
    };
    this.table.add({ sources: [source], required: true, make });
  }

  addLinear(name: string, target: string, rows: number, columns: number): void {
    this.placeLinear(this.#prefix + name, target, rows, columns);
  }

  /** Of a head, which no prefix stands before. */
  placeLinear(name: string, target: string, rows: number, columns: number): void {
    this.table.place(`${name}.weight`, `${target}.weight`, [rows, columns]);
    this.table.place(`${name}.bias`, `${target}.bias`, [rows]);
  }

  addNorm(name: string, target: string, width: number): void {
    this.add(`${name}.weight`, `${target}.weight`, [width]);
    this.add(`${name}.bias`, `${target}.bias`, [width]);
  }

  lay(weights: ReadonlyMap<string, Weight>): PlannedTensor[] {
    return this.table.lay(new Map([...weights.values()].map(renameNorm).map((weight) => [weight.name, weight])));
  }
}

/** As checkpoints have them that come from TensorFlow. */
function renameNorm(weight: Weight): Weight {
  const name = weight.name.replace(/\.gamma$/, ".weight").replace(/\.beta$/, ".bias");
  return name === weight.name ? weight : { ...weight, name };
}

export function checkHeads(config: Fields, width: number, heads: number): void {
  if (width % heads === 0) return;
  throw damagedModel(`${config.source}: ${heads} heads do not divide ${width} elements`, "Fetch config.json again.");
}

/** llama.cpp's graph of BERT has one activation. */
export function checkGelu(config: Fields, field: string): void {
  const activation = config.text(field) ?? "gelu";
  if (GELU_NAMES.includes(activation)) return;
  throw unsupportedEncoder(`config.json asks for the activation "${activation.slice(0, 40)}"; llama.cpp has gelu here`);
}

export function unsupportedEncoder(message: string): AppError {
  const hint = "The model is a variant that can't be converted.";
  return new AppError({ code: "format_unsupported", message, hint });
}

/** Keys in the order of llama.cpp's converter. */
export function encoderMetadata(
  name: string,
  sizes: EncoderSizes,
  { folder, fileType }: PlanInput,
  further: readonly [key: string, entry: GgufEntry][] = [],
): Map<string, GgufEntry> {
  const metadata = new Map<string, GgufEntry>();
  const u32 = (key: string, value: number) => metadata.set(`${name}.${key}`, { type: "u32", value });
  u32("block_count", sizes.layers);
  u32("context_length", sizes.contextLength);
  u32("embedding_length", sizes.width);
  u32("feed_forward_length", sizes.inner);
  u32("attention.head_count", sizes.heads);
  for (const [key, entry] of further) metadata.set(`${name}.${key}`, entry);
  metadata.set(`${name}.attention.layer_norm_epsilon`, { type: "f32", value: sizes.epsilon });
  metadata.set("general.file_type", { type: "u32", value: fileType });
  metadata.set(`${name}.attention.causal`, { type: "bool", value: false });
  const pooling = readPooling(folder);
  if (pooling !== null) u32("pooling_type", pooling);
  return metadata;
}
