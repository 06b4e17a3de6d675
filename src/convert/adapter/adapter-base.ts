// The model that an adapter is for: where its weights have gone in the GGUF. Asked of the model's own folder, whose plan of
// conversion says it, or of a GGUF of it, whose names say it for the architectures that are named here.

import { statSync } from "node:fs";
import { GgufError } from "../../formats/gguf/gguf-error.ts";
import { type GgufHeader, readGgufHeader } from "../../formats/gguf/read-header.ts";
import { withFile } from "../../formats/read-at.ts";
import { AppError } from "../../protocol/errors.ts";
import { completeConfig, findArchitecture } from "../architectures/known.ts";
import { readJsonFile } from "../json-file.ts";
import { countRows, type PlannedTensor, weightsOf } from "../model-plan.ts";
import { openWeights } from "../sources/open-weights.ts";
import { refuse } from "./adapter-config.ts";

/** A tensor of the GGUF, or the part of one, that a weight has become. */
export interface BaseTarget {
  name: string;
  columns: number;
  /** Of the weight in its model, and those of them that this tensor has. */
  weightRows: number;
  fromRow: number;
  rows: number;
  /** The rows of so many heads are reordered; null: as they are. */
  heads: number | null;
}

export interface AdapterBase {
  /** GGUF's name. */
  architecture: string;
  /** By the name of a weight as transformers has it; empty: there is none. Throws for one that can't have an adapter. */
  find: (weight: string) => readonly BaseTarget[];
}

export function openBase(path: string): AdapterBase {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) {
    const message = `the base model ${path} is not there`;
    throw new AppError({ code: "invalid_request", message, hint: "--base names its folder, or a GGUF of it." });
  }
  return stats.isDirectory() ? openFolder(path) : openGguf(path);
}

function openFolder(folder: string): AdapterBase {
  const stated = readJsonFile(folder, "config.json");
  if (stated === null)
    throw refuse(`the base model ${folder} has no config.json`, "--base names a model's folder, or a GGUF.");
  const kind = findArchitecture(stated);
  const config = completeConfig(stated, kind);
  using weights = openWeights(folder, config);
  const plan = kind.plan({ folder, config, weights: weights.tensors, fileType: 0 });
  const targets = new Map<string, BaseTarget[]>();
  const merged = new Set<string>();
  for (const tensor of plan.tensors) {
    const found = describeTensor(tensor);
    // Heads that are turned one by one leave no product of two factors.
    if (tensor.source.kind === "transposed-slices") for (const { name } of weightsOf(tensor)) merged.add(name);
    for (const [weight, target] of found) {
      if (found.length > 1) merged.add(weight);
      targets.set(weight, [...(targets.get(weight) ?? []), target]);
    }
  }
  return {
    architecture: plan.architecture,
    find: (weight) => {
      if (merged.has(weight))
        throw refuse(
          `the adapter changes ${weight.slice(0, 120)}, which is taken apart or put into a stack in the GGUF`,
        );
      return targets.get(weight) ?? [];
    },
  };
}

function describeTensor({ name, dims, source }: PlannedTensor): [weight: string, target: BaseTarget][] {
  const [columns = 0, rows = 1] = dims;
  // A weight that is changed on its way is no longer the product that its adapter was trained to be added to.
  if (source.kind === "transposed") {
    return [[source.weight.name, { name, columns, weightRows: rows, fromRow: 0, rows, heads: null }]];
  }
  if (source.kind !== "slices" || source.map !== undefined) return [];
  return source.slices.map((slice) => {
    const { weight, fromRow, heads } = slice;
    return [weight.name, { name, columns, weightRows: countRows(weight), fromRow, rows: slice.rows, heads }];
  });
}

/** Architectures whose GGUFs have transformers' weights one by one; true: the rows of Q and K are reordered. */
const REORDERS_HEADS: ReadonlyMap<string, boolean> = new Map([
  ["llama", true],
  ["granite", true],
  ["qwen2", false],
  ["qwen3", false],
  ["gemma", false],
  ["gemma2", false],
  ["gemma3", false],
]);
const PROJECTIONS: ReadonlyMap<string, string> = new Map([
  ["self_attn.q_proj", "attn_q"],
  ["self_attn.k_proj", "attn_k"],
  ["self_attn.v_proj", "attn_v"],
  ["self_attn.o_proj", "attn_output"],
  ["mlp.gate_proj", "ffn_gate"],
  ["mlp.up_proj", "ffn_up"],
  ["mlp.down_proj", "ffn_down"],
]);

function openGguf(path: string): AdapterBase {
  const header = readBase(path);
  const architecture = String(header.metadata.get("general.architecture") ?? "");
  const reorders = REORDERS_HEADS.get(architecture);
  if (header.metadata.has("adapter.type") || reorders === undefined) {
    const known = [...REORDERS_HEADS.keys()].join(", ");
    const message = `${path} is of the architecture "${architecture.slice(0, 40)}"; as GGUF a base must be one of ${known}`;
    throw refuse(message, "Name the folder of the original model by --base.");
  }
  const tensors = new Map((header.tensors ?? []).map((tensor) => [tensor.name, tensor]));
  const headsOf = (projection: string): number | null => {
    if (!reorders || (projection !== "attn_q" && projection !== "attn_k")) return null;
    const count = header.metadata.get(`${architecture}.attention.head_count${projection === "attn_k" ? "_kv" : ""}`);
    if (typeof count === "number" && Number.isSafeInteger(count) && count > 0) return count;
    throw refuse(`${path} does not say how many heads it has`, "Name the folder of the original model by --base.");
  };
  return {
    architecture,
    find: (weight) => {
      const { name, projection } = nameInGguf(weight);
      const found = tensors.get(name);
      if (found === undefined) return [];
      const [columns = 0, rows = 1] = found.dims;
      return [{ name, columns, weightRows: rows, fromRow: 0, rows, heads: headsOf(projection) }];
    },
  };
}

function readBase(path: string): GgufHeader {
  try {
    return withFile(path, (file) => readGgufHeader(file, { tensors: true }));
  } catch (thrown) {
    if (!(thrown instanceof GgufError)) throw thrown;
    throw refuse(
      `the base model ${path} can't be used: ${thrown.message}`,
      "--base names a model's folder, or a GGUF.",
    );
  }
}

function nameInGguf(weight: string): { name: string; projection: string } {
  const [, layer, path = ""] = /^(?:model\.)?layers\.(\d+)\.(.+)\.weight$/.exec(weight) ?? [];
  const projection = PROJECTIONS.get(path) ?? "";
  if (layer !== undefined) return { name: `blk.${layer}.${projection}.weight`, projection };
  if (/^(model\.)?embed_tokens\.weight$/.test(weight)) return { name: "token_embd.weight", projection };
  return { name: weight === "lm_head.weight" ? "output.weight" : "", projection };
}
