// Where the weights of an architecture go: it states their names, their shapes and what is made of them, then the weights
// of a folder are laid into these slots. What is missing, unknown, there twice or of another shape is an error. Knows no
// architecture.

import { AppError } from "../../protocol/errors.ts";
import { damagedModel } from "../json-file.ts";
import { type PlannedTensor, type TensorSource, takeWhole, type ValueMap } from "../model-plan.ts";
import { nameSome, type Weight } from "../weights.ts";

export interface Slot {
  /** One weight, or several of which tensors are made together, such as the experts of a layer. */
  sources: readonly SlotSource[];
  required: boolean;
  /** Gets the weights in the order of the sources, once all of them are there. */
  make: (weights: readonly Weight[]) => readonly PlannedTensor[];
}

export interface SlotSource {
  /** In transformers. */
  name: string;
  /** What config.json implies, slowest-varying dimension first. */
  shape: readonly number[];
}

/** How one weight becomes one tensor. */
export interface Placement {
  /** Standard: true. */
  required?: boolean;
  /** The rows of each of so many heads are reordered. */
  heads?: number | null;
  /** Stored as [columns, rows]. */
  transposed?: boolean;
  map?: ValueMap;
}

export interface SlotFacts {
  /** GGUF's name, for messages. */
  architecture: string;
  /** What the names of a model without its output head lack, such as "model.". */
  prefix: string;
  /** Saved by some, but computed anew by whoever runs the model. */
  ignored: RegExp;
}

export class SlotTable {
  readonly #facts: SlotFacts;
  readonly #slots: Slot[] = [];
  readonly #places = new Map<string, { slot: Slot; source: SlotSource }>();

  constructor(facts: SlotFacts) {
    this.#facts = facts;
  }

  add(slot: Slot): void {
    this.#slots.push(slot);
    for (const source of slot.sources) this.#places.set(source.name, { slot, source });
  }

  /** One weight → one tensor. */
  place(name: string, target: string, shape: readonly number[], placement: Placement = {}): void {
    const dims = placement.transposed === true ? shape : shape.toReversed();
    const make = ([weight]: readonly Weight[]): PlannedTensor[] =>
      weight === undefined ? [] : [{ name: target, dims, source: sourceOf(weight, placement) }];
    this.add({ sources: [{ name, shape }], required: placement.required ?? true, make });
  }

  /** Tensors come in the order of the weights; those that are made of several, where the last of these is. */
  lay(weights: ReadonlyMap<string, Weight>): PlannedTensor[] {
    const { prefix, ignored, architecture } = this.#facts;
    const tensors: PlannedTensor[] = [];
    const unknown: string[] = [];
    const found = new Map<string, Weight>();
    const left = new Map<Slot, number>(this.#slots.map((slot) => [slot, slot.sources.length]));
    for (const weight of weights.values()) {
      if (ignored.test(weight.name)) continue;
      const place = this.#places.get(weight.name) ?? this.#places.get(`${prefix}${weight.name}`);
      if (place === undefined) {
        unknown.push(weight.name);
        continue;
      }
      const { slot, source } = place;
      if (found.has(source.name)) {
        throw damagedModel(`the tensor ${source.name} is there twice, as "${weight.name}" too`);
      }
      checkShape(weight, source.shape);
      found.set(source.name, weight);
      const rest = (left.get(slot) ?? 0) - 1;
      left.set(slot, rest);
      if (rest === 0) tensors.push(...slot.make(slot.sources.map(({ name }) => found.get(name) as Weight)));
    }
    refuseUnknown(unknown, architecture);
    refuseMissing(
      this.#slots.filter((slot) => {
        const count = left.get(slot) ?? 0;
        return count > 0 && (slot.required || count < slot.sources.length);
      }),
      found,
    );
    return tensors;
  }
}

function sourceOf(weight: Weight, { heads = null, transposed = false, map }: Placement): TensorSource {
  if (transposed) return { kind: "transposed", weight };
  const whole = takeWhole(weight, heads);
  return map === undefined || whole.kind !== "slices" ? whole : { ...whole, map };
}

function checkShape({ name, shape }: Weight, expected: readonly number[]): void {
  if (shape.length === expected.length && shape.every((size, i) => size === expected[i])) return;
  const claim = `the tensor "${name}" has the shape [${shape.join(", ")}]`;
  throw damagedModel(`${claim}; config.json says [${expected.join(", ")}]`, "Use the config.json of these weights.");
}

function refuseUnknown(unknown: readonly string[], architecture: string): void {
  if (unknown.length === 0) return;
  const message = `${unknown.length} tensors are no part of the architecture ${architecture}: ${nameSome(unknown)}`;
  const hint = "The model is a variant, or quantised in a way, that can't be converted; nothing was written.";
  throw new AppError({ code: "format_unsupported", message, hint });
}

function refuseMissing(incomplete: readonly Slot[], found: ReadonlyMap<string, Weight>): void {
  const missing = incomplete
    .flatMap(({ sources }) => sources.map(({ name }) => name))
    .filter((name) => !found.has(name));
  if (missing.length === 0) return;
  throw damagedModel(`${missing.length} tensors are missing: ${nameSome(missing)}`, "Fetch the missing files.");
}
