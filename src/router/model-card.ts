// What listings say about models and their engines. Pure.

import type { ModelEntry } from "../models/entry.ts";
import type { BackendUse } from "../protocol/backends.ts";
import { automaticContextLength, type LoadedModelInfo, type Pooling } from "../protocol/model-info.ts";
import type { Slot } from "./engines/slot.ts";
import type { ModelCard, ModelState } from "./inference.ts";

export interface CardSettings {
  /** `--ctx`; 0 = automatic. */
  contextLength: number;
  /** `--pooling`; absent = each model's own. */
  pooling?: Pooling;
}

export interface CardRuntime {
  slot: Slot;
  /** Requests wait for its engine. */
  waits: boolean;
  /** Why the last start failed. */
  error: string | null;
  info: LoadedModelInfo | null;
  /** Of its engine; null: it has none. */
  backend: BackendUse | null;
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
    backend: runtime.backend,
    info,
  };
}

/** As the engine will choose it: see engine/llama/context-plan.ts. Null: it has none, or only its load shows it. */
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

function stateOf(entry: ModelEntry, { slot, error, waits }: CardRuntime): ModelState {
  if (entry.error !== null) return "failed";
  if (slot.kind === "ready") return "loaded";
  if (slot.kind === "starting" || waits) return "loading";
  if (slot.kind === "asleep") return "asleep";
  return error === null && slot.kind === "idle" ? "unloaded" : "failed";
}
