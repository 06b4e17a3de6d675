// Qwen 3's rerankers: the dense model, asked whether a document answers a query. Of its output head only the rows of two
// words are kept, "yes" and "no", which llama.cpp compares.

import { basename } from "node:path";
import { readTextFile } from "../json-file.ts";
import type { ModelPlan, PlanInput, PlannedTensor, Slice } from "../model-plan.ts";
import { takeWhole } from "../model-plan.ts";
import { findTokenId } from "../tokenizer/token-ids.ts";
import type { Weight } from "../weights.ts";
import type { DecoderKind, DecoderSizes } from "./decoder.ts";
import { planQwen } from "./qwen2.ts";
import type { SlotTable } from "./slots.ts";

const ANSWERS = ["yes", "no"] as const;
/** llama.cpp's number of the pooling that ranks. */
const RANK = 4;
/** From the model's card: what it was trained to be asked. llama.cpp puts query and document in. */
const TEMPLATE = [
  "<|im_start|>system",
  "Judge whether the Document meets the requirements based on the Query and the Instruct provided. " +
    'Note that the answer can only be "yes" or "no".<|im_end|>',
  "<|im_start|>user",
  "<Instruct>: Given a web search query, retrieve relevant passages that answer the query",
  "<Query>: {query}",
  "<Document>: {document}<|im_end|>",
  "<|im_start|>assistant",
  "<think>",
  "",
  "</think>",
  "",
  "",
].join("\n");

/** Nothing in config.json tells it from the model that it was made of, so its name has to. */
export function isReranker({ folder, config }: PlanInput): boolean {
  const names = [basename(folder), config.text("_name_or_path") ?? ""];
  if (names.some((name) => name.toLowerCase().includes("qwen3-reranker"))) return true;
  return (readTextFile(folder, "README.md") ?? "").toLowerCase().includes("# qwen3-reranker");
}

export function planReranker(kind: DecoderKind, input: PlanInput): ModelPlan {
  const isTied = input.config.truth("tie_word_embeddings") ?? false;
  const plan = planQwen({ ...kind, placeHeads: (slots, sizes) => placeHeads(slots, sizes, input, isTied) }, input);
  const { metadata } = plan;
  metadata.set("qwen3.pooling_type", { type: "u32", value: RANK });
  metadata.set("qwen3.classifier.output_labels", { type: "array", of: "string", values: ANSWERS });
  metadata.set("tokenizer.chat_template.rerank", { type: "string", value: TEMPLATE });
  metadata.set("tokenizer.chat_templates", { type: "array", of: "string", values: ["rerank"] });
  return plan;
}

function placeHeads(slots: SlotTable, { vocabulary, width }: DecoderSizes, input: PlanInput, isTied: boolean): void {
  const rows = ANSWERS.map((answer) => findTokenId(input.folder, answer, vocabulary));
  const shape = [vocabulary, width];
  const answers = (weight: Weight): PlannedTensor => ({
    name: "cls.output.weight",
    dims: [width, rows.length],
    source: { kind: "slices", slices: rows.map((row): Slice => ({ weight, fromRow: row, rows: 1, heads: null })) },
  });
  const embeddings = "model.embed_tokens.weight";
  if (!isTied) {
    slots.place(embeddings, "token_embd.weight", shape);
    const make = ([weight]: readonly Weight[]) => (weight === undefined ? [] : [answers(weight)]);
    slots.add({ sources: [{ name: "lm_head.weight", shape }], required: true, make });
    return;
  }
  slots.add({
    sources: [{ name: embeddings, shape }],
    required: true,
    make: ([weight]) =>
      weight === undefined
        ? []
        : [answers(weight), { name: "token_embd.weight", dims: shape.toReversed(), source: takeWhole(weight) }],
  });
  slots.place("lm_head.weight", "output.weight", shape, { required: false });
}
