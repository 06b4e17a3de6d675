// Builds small real models: random weights from a fixed seed in a real architecture with a real tokenizer.
// Built files are kept under build/models by the hash of what made them, so a second run builds nothing.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { type TensorSource, writeGguf } from "./gguf-writer.ts";
import type { ModelSpec } from "./model-specs.ts";
import { describeArchitecture, planWeights, type WeightPlan } from "./model-tensors.ts";
import { readTokenizer } from "./tokenizers.ts";

const CACHE_FOLDER = join(import.meta.dir, "../../build/models");

/** What a built file hangs on, besides its spec. */
const SOURCES = [
  "gguf-builder.ts",
  "gguf-writer.ts",
  "k-quants.ts",
  "gguf-layout.ts",
  "head-tensors.ts",
  "model-tensors.ts",
  "recurrent-tensors.ts",
  "tokenizers.ts",
];

/** The output of tokens that end or garble a text is scaled by this: they stay below every other token. */
const UNREADABLE_SCALE = 0.25;

const CHATML_TEMPLATE =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

type Metadata = ReturnType<typeof readTokenizer>["metadata"];

/** The path of the model, built at the first call. */
export function cacheModel(spec: ModelSpec): string {
  const hash = createHash("sha256").update(JSON.stringify(spec));
  for (const source of SOURCES) hash.update(readFileSync(join(import.meta.dir, source)));
  const path = join(CACHE_FOLDER, `${spec.shape}-${hash.digest("hex").slice(0, 16)}.gguf`);
  if (!existsSync(path)) buildModel(spec, path);
  return path;
}

/** Writes beside the path and renames, so that two test processes can build the same model at once. */
export function buildModel(spec: ModelSpec, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const tokenizer = readTokenizer(spec.tokenizer);
  const changes = spec.tokenizerChanges ?? {};
  const changed = Object.entries(changes).flatMap(([key, value]): Metadata => (value === null ? [] : [[key, value]]));
  const kept = tokenizer.metadata.filter(([key]) => !(key in changes));
  const metadata = [...describeArchitecture(spec), ...kept, ...changed];
  const template = spec.chatTemplate ?? CHATML_TEMPLATE;
  if (spec.shape !== "bert") metadata.push(["tokenizer.chat_template", { type: "string", value: template }]);
  if (spec.rerankTemplate !== undefined) {
    metadata.push(["tokenizer.chat_template.rerank", { type: "string", value: spec.rerankTemplate }]);
  }
  const tensors = planWeights(spec, tokenizer.vocabularySize).map((plan) =>
    fillRandomly(plan, spec, tokenizer.readable),
  );
  const partial = `${path}.${process.pid}.partial`;
  writeGguf(partial, { metadata, tensors });
  renameSync(partial, path);
}

function fillRandomly(plan: WeightPlan, spec: ModelSpec, readable: Uint8Array): TensorSource {
  const random = makeNormalSource(`${spec.seed}/${plan.name}`);
  const columns = plan.shape[0] ?? 1;
  const fill = (out: Float32Array, start: number) => {
    for (let i = 0; i < out.length; i++) out[i] = plan.mean + plan.deviation * random();
    for (const { column, value } of plan.diagonals ?? []) {
      // Elements (row, row + column) lie one more than a row apart.
      const step = columns + 1;
      const first = (((column - start) % step) + step) % step;
      for (let i = first; i < out.length; i += step) out[i] = (out[i] as number) + value;
    }
    if (!plan.dimUnreadable) return;
    for (let i = 0; i < out.length; i++) {
      if (readable[Math.floor((start + i) / columns)] === 0) out[i] = (out[i] as number) * UNREADABLE_SCALE;
    }
  };
  return {
    name: plan.name,
    shape: plan.shape,
    type: plan.type,
    fill,
    repeated: isRepeated(spec, plan),
  };
}

function isRepeated({ repeated }: ModelSpec, { name, shape }: WeightPlan): boolean {
  if (shape.length < 2) return false;
  return repeated === "all" || (repeated === "layers" && name !== "token_embd.weight");
}

/**
 * Nearly normal numbers of mean 0 and deviation 1: the four bytes of one sfc32 output, summed.
 * Quick enough for tens of millions of weights, and the same on every machine.
 */
export function makeNormalSource(seed: string): () => number {
  const digest = new Uint32Array(new Uint8Array(createHash("sha256").update(seed).digest()).buffer);
  let [a = 0, b = 0, c = 0] = digest;
  let counter = 1;
  const next = () => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum;
  };
  for (let i = 0; i < 12; i++) next();
  return () => {
    const bits = next();
    const sum = (bits & 255) + ((bits >>> 8) & 255) + ((bits >>> 16) & 255) + (bits >>> 24);
    return (sum - 510) / BYTE_SUM_DEVIATION;
  };
}

/** Of the sum of four independent, evenly spread bytes. */
const BYTE_SUM_DEVIATION = Math.sqrt((4 * (256 * 256 - 1)) / 12);
