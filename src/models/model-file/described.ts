// What a model file makes of its model: the capabilities that it gives and takes, and what listings show of the file. Pure.
// It may take any capability; it may give only what needs nothing of the header, such as tools for a template that does not
// name them.

import type { Capabilities } from "../../protocol/model-info.ts";
import { judgeTemplate } from "../../protocol/template-capabilities.ts";
import type { ModelManifest } from "../manifest.ts";
import type { HardwareNote } from "./machine.ts";
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
  /** What it chats by in the place of the model's own template; null: that is its own. */
  chatTemplate: string | null;
  /** What this machine makes of its requirements, hints and tiers. */
  hardware: readonly HardwareNote[];
  content: Readonly<Record<string, unknown>>;
}

export function describeManifest(
  own: ModelManifest,
  description: ModelDescription,
): { manifest: ModelManifest; refused: string[] } {
  const { changes, exact } = description.capabilities;
  const manifest = withTemplate(own, description);
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
  const { file, displayName, modelType, withoutEffect, content, settings, templateFile } = description;
  const { manifest: result, refused } = describeManifest(manifest, description);
  const names = Object.keys(result.capabilities) as (keyof Capabilities)[];
  const { capabilities } = withTemplate(manifest, description);
  const taken = names.filter((name) => capabilities[name] && !result.capabilities[name]);
  const { chatTemplate = null } = settings.engine;
  const idle = chatTemplate === null || capabilities.completion ? [] : [templateFile === null ? "" : "_file"];
  return {
    file,
    displayName,
    modelType,
    withoutEffect: [...withoutEffect, ...refused, ...idle.map((ending) => `settings.chat_template${ending}`)],
    taken,
    hardware: description.hardware.notes,
    chatTemplate: idle.length > 0 ? null : chatTemplate,
    content,
  };
}

/** What a model can do hangs on the template that it chats by. */
function withTemplate(manifest: ModelManifest, { settings }: ModelDescription): ModelManifest {
  const { chatTemplate } = settings.engine;
  const { capabilities } = manifest;
  if (chatTemplate === undefined || !capabilities.completion) return manifest;
  return { ...manifest, hasChatTemplate: true, capabilities: { ...capabilities, ...judgeTemplate(chatTemplate) } };
}

function canGive(name: keyof Capabilities, own: Capabilities): boolean {
  return own.completion && (name === "tools" || name === "reasoning" || name === "infill");
}
