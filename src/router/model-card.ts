// What listings and health say about models and engines. Pure.

import type { ModelEntry } from "../models/entry.ts";
import { automaticContextLength, type LoadedModelInfo, type Pooling } from "../protocol/model-info.ts";
import type { Health, ModelCard, ModelState } from "./inference.ts";
import type { Slot } from "./slot.ts";

export interface CardSettings {
  /** `--ctx`; 0 = automatic. */
  contextLength: number;
  /** `--pooling`; absent = each model's own. */
  pooling?: Pooling;
}

export interface CardRuntime {
  slot: Slot;
  /** Why the last start failed. */
  error: string | null;
  info: LoadedModelInfo | null;
  isDefault: boolean;
  sleepsInMs: number | null;
}

export function toCard(entry: ModelEntry, runtime: CardRuntime, settings: CardSettings): ModelCard {
  const { info } = runtime;
  const pooling = choosePooling(entry, info, settings);
  const taken = entry.described?.taken ?? [];
  return {
    id: entry.id,
    aliases: entry.aliases,
    givenNames: entry.givenNames,
    path: entry.path,
    engineKey: entry.engineKey,
    displayName: entry.described?.displayName ?? null,
    place: entry.place,
    described: entry.described,
    pinned: entry.pinned,
    created: entry.created,
    sizeBytes: entry.sizeBytes,
    architecture: entry.architecture,
    quantization: entry.quantization,
    companions: entry.companions.map(({ kind, name, sizeBytes }) => ({ kind, name, sizeBytes })),
    parameterCount: entry.parameterCount,
    trainedContextLength: entry.trainedContextLength,
    contextLength: info?.sequenceContextLength ?? expectedContext(entry.trainedContextLength, settings.contextLength),
    capabilities: {
      ...entry.capabilities,
      embedding:
        !taken.includes("embedding") &&
        (pooling === null ? entry.embeddingPooling !== null : pooling !== "rank" && pooling !== "none"),
      rerank: pooling === "rank" && !taken.includes("rerank"),
    },
    embeddingPooling: pooling,
    ownPooling: entry.pooling,
    poolingIsSet: pooling !== null && settings.pooling === pooling,
    state: stateOf(entry, runtime),
    conversion: entry.conversion === null ? null : entry.conversion.file === null ? "needed" : "done",
    sleepsInMs: runtime.sleepsInMs,
    error: entry.error?.message ?? runtime.error,
    demo: entry.demo,
    isDefault: runtime.isDefault,
    info,
  };
}

/** As the engine will choose it: see engine/context-plan.ts. Null: it has none, or only its load shows it. */
function choosePooling(entry: ModelEntry, info: LoadedModelInfo | null, settings: CardSettings): Pooling | null {
  if (entry.embeddingPooling === null || settings.pooling === undefined) return entry.embeddingPooling;
  // The header does not say whether a model that chats has a head to rank with; without one the setting is not for it.
  if (settings.pooling === "rank" && entry.capabilities.completion) return info?.pooling ?? null;
  return settings.pooling;
}

function expectedContext(trained: number | null, asked: number): number | null {
  if (trained === null) return asked === 0 ? null : asked;
  return asked === 0 ? automaticContextLength(trained) : Math.min(asked, trained);
}

function stateOf(entry: ModelEntry, { slot, error }: CardRuntime): ModelState {
  if (entry.error !== null) return "failed";
  if (slot.kind === "ready") return "loaded";
  if (slot.kind === "starting") return "loading";
  if (slot.kind === "asleep") return "asleep";
  return error === null && slot.kind === "idle" ? "unloaded" : "failed";
}

export interface SlotState {
  id: string;
  slot: Slot;
  error: string | null;
}

export interface Backends {
  /** File names in load order. */
  plugins: readonly string[];
  skippedPlugins: readonly { file: string; reason: string }[];
  fallback?: string;
  /** Why devices that are there are not computed on, and what to do about it; absent: nobody knows of any. */
  faults?: () => readonly string[];
}

/** llama.cpp's own line stands last, and names the library that is missing. */
function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}

/**
 * Degraded: an engine is cooling off, a model did not load, another back end computes than the one asked for first, or a GPU
 * is there and not used. The server itself is up, or this would not run.
 */
export function describeHealth(states: readonly SlotState[], backends: Backends, nowMs: number): Health {
  const cooling = states.filter(({ slot }) => slot.kind === "cooling" && slot.untilMs > nowMs);
  const failed = states.filter(({ slot, error }) => slot.kind !== "ready" && error !== null);
  const ready = states.filter(({ slot }) => slot.kind === "ready");
  const asleep = states.filter(({ slot }) => slot.kind === "asleep");
  const troubles = [...new Set([...cooling, ...failed])];
  const faults = backends.faults?.() ?? [];
  const isDegraded = troubles.length > 0 || backends.fallback !== undefined || faults.length > 0;
  const details = [
    `${ready.length} ${ready.length === 1 ? "engine" : "engines"} up`,
    ...(asleep.length === 0 ? [] : [`${asleep.length} asleep`]),
    `backends ${backends.plugins.join(", ")}`,
    ...(backends.fallback === undefined ? [] : [backends.fallback]),
    ...backends.skippedPlugins.map(({ file, reason }) => `without ${file}: ${lastLine(reason)}`),
    ...faults,
    ...troubles.map(({ id, error }) => `${id}: ${error ?? "its engine died repeatedly"}`),
  ].join("; ");
  return {
    status: isDegraded ? "degraded" : "healthy",
    backends: { llamacpp: { available: true, ready: true, details } },
  };
}
