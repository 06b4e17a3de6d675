// RoBERTa and XLM-RoBERTa (BGE-M3, multilingual E5, BGE's rerankers): BERT's form, whose positions begin behind the
// padding's id, and another head to rank with.

import type { ModelPlan, PlanInput } from "../model-plan.ts";
import { noteModules } from "../pooling.ts";
import { addBertSlots, readBertSizes } from "./bert.ts";
import { EncoderSlots, encoderMetadata } from "./encoder.ts";
import { addRankHead, noteRankHead, readRankHead } from "./rank-head.ts";

export const ROBERTA_NAMES: readonly string[] = [
  "RobertaModel",
  "RobertaForMaskedLM",
  "RobertaForSequenceClassification",
  "XLMRobertaModel",
  "XLMRobertaForMaskedLM",
  "XLMRobertaForSequenceClassification",
];

/** Positions counted out, the head for masked words, and the pooler: nothing here is computed by it. */
const IGNORED = /^lm_head\.|position_ids$|(^|\.)pooler\./;
/** transformers' own. */
const PADDING_STANDARD = 1;

export function planRoberta(input: PlanInput): ModelPlan {
  const padding = input.config.number("pad_token_id") ?? PADDING_STANDARD;
  if (!Number.isInteger(padding) || padding < 0) throw input.config.wrong("pad_token_id", "a whole number from 0 on");
  const sizes = readBertSizes(input, padding + 1);
  const head = readRankHead(input, ["classifier.out_proj.weight"]);
  const slots = new EncoderSlots("bert", "roberta.", IGNORED);
  addBertSlots(slots, sizes);
  if (head !== null) {
    slots.placeLinear("classifier.dense", "cls", sizes.width, sizes.width);
    slots.placeLinear("classifier.out_proj", "cls.output", head.labels.length, sizes.width);
  }
  const tensors = slots.lay(input.weights);
  const metadata = encoderMetadata("bert", sizes, input);
  addRankHead(metadata, "bert", head);
  return { architecture: "bert", metadata, tensors, notes: [...noteModules(input.folder), ...noteRankHead(head)] };
}
