// What could be changed about a question so that it fits, one thing at a time: each a list of changes, the smallest first. Pure.
// Only what was asked for is in here, and what is never chosen silently: the rest the search has tried by itself.

import { KV_TYPES, type KvType } from "../../protocol/memory-need.ts";
import { NO_CHANGE } from "./change.ts";
import type { AskedSettings, OptionKind, PlanChange, PlanQuestion, PlanSubject, Resident } from "./plan.ts";
import { sumNeed } from "./room.ts";

export interface Knob {
  kind: Exclude<OptionKind, "combined">;
  /** The smallest first. With the last it fits if it does with any of them. */
  changes: readonly PlanChange[];
}

/** Contexts are told in steps of these: nobody asks for 12,345 tokens. */
const CONTEXT_STEP = 256;
const CONTEXT_MIN = 256;
const MICRO_BATCH_MIN = 32;
const CHECKPOINT_BYTES_MIN = 16 * 1024 * 1024;
/** In the order of what they cost answers; others exist, but are no smaller or no better. */
const SMALLER_KV: readonly KvType[] = ["q8_0", "q5_1", "q4_0"];
/** Of very many models on a large machine: more combinations than these nobody reads. */
const EVICTIONS_MAX = 64;

export function listKnobs(question: PlanQuestion): Knob[] {
  const { subject, asked } = question;
  const knobs: Knob[] = [
    { kind: "evict", changes: listEvictions(question.residents) },
    { kind: "microBatchSize", changes: halve(asked, "microBatchSize", MICRO_BATCH_MIN) },
    { kind: "parallel", changes: halve(asked, "parallel", 1) },
    { kind: "retainedMax", changes: halve(asked, "retainedMax", 0) },
    { kind: "checkpointBytes", changes: halve(asked, "checkpointBytes", CHECKPOINT_BYTES_MIN) },
    { kind: "draft", changes: asked.draft === true ? [ask({ draft: false })] : [] },
    { kind: "contextLength", changes: listContexts(asked) },
    { kind: "kvType", changes: subject.canGenerate ? listKvTypes(asked.kvType ?? "f16") : [] },
    { kind: "hostExpertLayers", changes: listExperts(question) },
    { kind: "gpuLayers", changes: listLayers(question) },
    // Left out, the planner shares them itself.
    {
      kind: "deviceShares",
      changes: asked.deviceShares === undefined ? [] : [ask({ deviceShares: undefined })],
    },
    { kind: "quantization", changes: listQuantizations(subject) },
  ];
  return knobs.filter(({ changes }) => changes.length > 0);
}

function ask(asked: AskedSettings): PlanChange {
  return { ...NO_CHANGE, asked };
}

function halve(
  asked: AskedSettings,
  name: "microBatchSize" | "parallel" | "retainedMax" | "checkpointBytes",
  least: number,
): PlanChange[] {
  const changes: PlanChange[] = [];
  for (let value = asked[name] ?? least; value > least; ) {
    value = Math.max(least, Math.floor(value / 2));
    changes.push(ask({ [name]: value }));
  }
  return changes;
}

function listContexts({ contextLength = 0 }: AskedSettings): PlanChange[] {
  const changes: PlanChange[] = [];
  // Fine steps near what was asked for, then coarser ones: the list stays short, and the loss under an eighth.
  for (let length = contextLength; length > CONTEXT_MIN; ) {
    const step = Math.max(CONTEXT_STEP, Math.floor(length / 8 / CONTEXT_STEP) * CONTEXT_STEP);
    length = Math.max(CONTEXT_MIN, Math.ceil((length - step) / CONTEXT_STEP) * CONTEXT_STEP);
    changes.push(ask({ contextLength: length }));
  }
  return changes;
}

function listKvTypes(now: KvType): PlanChange[] {
  const wide = now === "f32" ? (["f16"] as const) : [];
  const known = KV_TYPES.indexOf(now);
  return [...wide, ...SMALLER_KV.filter((type) => KV_TYPES.indexOf(type) > known)].map((kvType) => ask({ kvType }));
}

function listExperts({ subject, asked }: PlanQuestion): PlanChange[] {
  const from = asked.hostExpertLayers;
  if (from === undefined) return [];
  if (from > subject.expertLayers) return [ask({ hostExpertLayers: subject.expertLayers })];
  const more = range(from + 1, subject.expertLayers).map((hostExpertLayers) => ask({ hostExpertLayers }));
  return [...more, ask({ hostExpertLayers: undefined })];
}

function listLayers({ subject, asked, machine }: PlanQuestion): PlanChange[] {
  if (asked.gpuLayers === undefined) return [];
  const most = machine.devices.length === 0 ? 0 : subject.layers + 1;
  const fewer = range(0, Math.min(asked.gpuLayers - 1, most)).reverse();
  // Fewer on devices are more in main memory: only what the search may choose itself asks for least.
  return [...fewer.map((gpuLayers) => ask({ gpuLayers })), ask({ gpuLayers: undefined })];
}

/** Those that take less, the largest first. */
function listQuantizations({ fileBytes, others }: PlanSubject): PlanChange[] {
  return others
    .filter((other) => other.fileBytes < fileBytes)
    .toSorted((a, b) => b.fileBytes - a.fileBytes)
    .map(({ id }) => ({ ...NO_CHANGE, model: id }));
}

/**
 * Single ones first, by what is lost: idle before busy, then what comes back fastest; then several, the longest idle first, until
 * all are gone. Pinned ones stay.
 */
function listEvictions(residents: readonly Resident[]): PlanChange[] {
  const movable = residents.filter(({ pinned }) => !pinned);
  const byLoss = movable.toSorted(
    (a, b) =>
      Number(a.busy) - Number(b.busy) ||
      (a.reloadSeconds ?? 0) - (b.reloadSeconds ?? 0) ||
      b.idleSeconds - a.idleSeconds ||
      sumNeed(a.need) - sumNeed(b.need),
  );
  const byIdle = movable.toSorted((a, b) => Number(a.busy) - Number(b.busy) || b.idleSeconds - a.idleSeconds);
  const single = byLoss.map(({ id }) => [id]);
  const several = byIdle.map((_, at) => byIdle.slice(0, at + 1).map(({ id }) => id)).slice(1);
  return [...single.slice(0, EVICTIONS_MAX), ...several.slice(-EVICTIONS_MAX)].map((evict) => ({
    ...NO_CHANGE,
    evict,
  }));
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
}
