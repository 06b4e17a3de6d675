// The classifier on top of an encoder. With one label it is a reranker's head, and the model says so: its pooling is
// "rank". With several it judges texts, which nothing here asks for.

import type { GgufEntry } from "../../formats/gguf/write-header.ts";
import { damagedModel } from "../json-file.ts";
import type { PlanInput } from "../model-plan.ts";

/** llama.cpp's number. */
const POOLING_RANK = 4;
/** The largest published classifiers have some hundred. */
const LABELS_MAX = 65_536;

export interface RankHead {
  labels: readonly string[];
}

const isClassifier = ({ config }: PlanInput): boolean =>
  String(config.list("architectures")[0]).endsWith("ForSequenceClassification");

/** Null: a model without a classifier. `names`: what its last weight may be called. */
export function readRankHead(input: PlanInput, names: readonly string[]): RankHead | null {
  if (!isClassifier(input)) return null;
  const weight = names.map((name) => input.weights.get(name)).find((found) => found !== undefined);
  const count = weight?.shape[0] ?? 0;
  if (count < 1 || count > LABELS_MAX) throw damagedModel(`the tensor ${names[0]} of the classifier is missing`);
  const named = input.config.object("id2label");
  const labels = Array.from({ length: count }, (_, id) => named?.text(String(id)) ?? `LABEL_${id}`);
  return { labels };
}

/** After all other keys. */
export function addRankHead(metadata: Map<string, GgufEntry>, name: string, head: RankHead | null): void {
  if (head === null) return;
  if (head.labels.length === 1) metadata.set(`${name}.pooling_type`, { type: "u32", value: POOLING_RANK });
  metadata.set(`${name}.classifier.output_labels`, { type: "array", of: "string", values: [...head.labels] });
}

export function noteRankHead(head: RankHead | null): string[] {
  if (head === null || head.labels.length === 1) return [];
  return [`the model tells ${head.labels.length} labels apart, which is not served: it embeds texts`];
}
