// A model's shape → what the planner asks of a model. Pure: estimates are the formula's, and whoever confirms a plan asks
// llama.cpp.

import { bytesPerToken, type TokenCost } from "../../models/memory/active-cost.ts";
import { countKeptBytes, countMovingBytes, countSamplingBytes } from "../../models/memory/context-bytes.ts";
import { estimateEmbedding, prepareEstimate } from "../../models/memory/estimate-need.ts";
import { keepsStates, type ModelShape, trunkOf } from "../../models/memory/model-shape.ts";
import type { RepackRules } from "../../models/memory/repacking.ts";
import { addNeeds, type MemoryNeed } from "../../protocol/memory-need.ts";
import type { Pooling } from "../../protocol/model-info.ts";
import type { PlaceWork, PlanSettings, PlanSubject } from "./plan.ts";

export interface SubjectSources {
  id: string;
  shape: ModelShape;
  fileBytes: number;
  repacking: RepackRules;
  /** The smaller model that guesses; null: none is named. */
  draft: ModelShape | null;
  /** With its own prediction layers, where nothing else guesses. */
  withHead: boolean;
  /** Of files that are loaded beside it as they are, such as LoRA adapters. */
  besideBytes: number;
  /** What embeddings are asked to be pooled by; absent: what the model's file says. */
  pooling?: Pooling | undefined;
  /** It keeps state on disk. */
  savesStates: boolean;
  others: readonly PlanSubject[];
}

export function describeSubject(given: SubjectSources): PlanSubject {
  const sources = { ...given, shape: poolBy(given.shape, given.pooling) };
  const { id, shape, fileBytes, draft, others } = sources;
  const isRecurrent = keepsStates(shape);
  return {
    id,
    layers: shape.layers.length,
    expertLayers: countExpertLayers(shape),
    trainedContextLength: shape.trainedContextLength,
    isRecurrent,
    hasCheckpoints: isRecurrent,
    canGenerate: !shape.embedsOnly,
    hasDraft: draft !== null,
    weightType: findWeightType(shape),
    fileBytes,
    needOf: prepareNeed(sources),
    useBytes: (settings) => countUseBytes(shape, settings, sources.savesStates),
    embeddingOf: (settings) => (shape.embedsOnly ? null : estimateEmbedding(shape, settings)),
    workOf(settings, depth) {
      const { host, devices } = bytesPerToken(shape, settings, depth);
      return { host: toWork(host), devices: devices.map(toWork) };
    },
    others,
  };
}

/** What ranks is asked of rankers, and of all others nothing. */
function poolBy(shape: ModelShape, pooling: Pooling | undefined): ModelShape {
  if (pooling === undefined || pooling === "rank") return shape;
  return { ...shape, splitsInputs: pooling === "last" && !shape.isEncoder };
}

function toWork({ weightBytes, cacheBytes, operations }: TokenCost): PlaceWork {
  return { weightsBytes: weightBytes, kvBytes: cacheBytes, flops: operations };
}

function prepareNeed({
  shape,
  repacking,
  draft,
  withHead,
  besideBytes,
  savesStates,
}: SubjectSources): (settings: PlanSettings) => MemoryNeed {
  const alone = prepareEstimate(shape, { repacking, withHead });
  const guided = draft === null ? null : prepareEstimate(shape, { repacking });
  const guesser = draft === null ? null : prepareEstimate(draft, { repacking, role: "draft" });
  return (settings) => {
    const guesses = settings.draft && guesser !== null;
    const need = guesses && guided !== null ? guided(settings) : alone(settings);
    need.host.weightsBytes += besideBytes;
    need.host.overheadBytes += countUseBytes(shape, settings, savesStates);
    return guesses ? addNeeds(need, guesser(settings)) : need;
  };
}

/** What requests bring to an engine that is loaded, at most: neither the formula of a load nor llama.cpp's account has it. */
export function countUseBytes(shape: ModelShape, settings: PlanSettings, savesStates: boolean): number {
  const movingBytes = savesStates ? countMovingBytes(shape, settings.kvType) : 0;
  return countKeptBytes(shape, settings.checkpointBytes) + movingBytes + countSamplingBytes(shape, settings);
}

/** The last layer that has experts, and all before it: placing counts from the first. */
function countExpertLayers(shape: ModelShape): number {
  return trunkOf(shape).findLastIndex(({ hasExperts }) => hasExperts) + 1;
}

/** That of most bytes, as ggml writes it. */
function findWeightType({ tensors }: ModelShape): string | null {
  const bytes = new Map<string, number>();
  for (const tensor of tensors) {
    if (tensor.isMatrix) bytes.set(tensor.type, (bytes.get(tensor.type) ?? 0) + tensor.bytes);
  }
  const [most] = [...bytes].sort(([, a], [, b]) => b - a);
  return most?.[0] ?? null;
}
