// What a model file makes of its model: the capabilities that it gives and takes, and what listings show of the file. Pure.
// It may take any capability; it may give only what needs nothing of the header, such as tools for a template that does not
// name them.

import type { Capabilities } from "../../protocol/model-info.ts";
import type { ModelManifest } from "../manifest.ts";
import type { ModelDescription } from "./parse.ts";

/** Of a model that a model file describes. */
export interface Described {
  /** The model file. Absolute. */
  file: string;
  displayName: string | null;
  modelType: string | null;
  /** Keys of it that have no effect, and capabilities that the model can't have. */
  withoutEffect: string[];
  /** Capabilities that the model has and the file takes: requests for them are refused. */
  taken: (keyof Capabilities)[];
  content: Readonly<Record<string, unknown>>;
}

export function describeManifest(
  manifest: ModelManifest,
  { capabilities: { changes, exact } }: ModelDescription,
): { manifest: ModelManifest; refused: string[] } {
  const result = { ...manifest.capabilities };
  const refused: string[] = [];
  for (const name of Object.keys(result) as (keyof Capabilities)[]) {
    const wanted = changes[name] ?? (exact ? false : result[name]);
    if (wanted && !result[name] && !canGive(name, manifest.capabilities)) refused.push(`capabilities.${name}`);
    else result[name] = wanted;
  }
  const hasVectors = result.embedding || result.rerank;
  return {
    manifest: { ...manifest, capabilities: result, ...(hasVectors ? {} : { embeddingPooling: null }) },
    refused,
  };
}

export function toDescribed(manifest: ModelManifest, description: ModelDescription): Described {
  const { file, displayName, modelType, withoutEffect, content } = description;
  const { manifest: result, refused } = describeManifest(manifest, description);
  const names = Object.keys(result.capabilities) as (keyof Capabilities)[];
  const taken = names.filter((name) => manifest.capabilities[name] && !result.capabilities[name]);
  return { file, displayName, modelType, withoutEffect: [...withoutEffect, ...refused], taken, content };
}

function canGive(name: keyof Capabilities, own: Capabilities): boolean {
  return own.completion && (name === "tools" || name === "reasoning" || name === "infill");
}
