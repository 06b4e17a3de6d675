// Plans as the API shows them. Pure. Settings go by the names of requests, which are those of `serve`'s settings.

import type { MemoryParts } from "../../protocol/memory-need.ts";
import type { Budget } from "../../router/placement/budget.ts";
import type { Learned } from "../../router/placement/deviation.ts";
import type { AskedSettings, Placed, PlanChange } from "../../router/placement/plan.ts";
import type { OptimizationReport, PlanReport } from "../../router/placement/planning.ts";
import type { Recommendation } from "../../router/placement/recommend.ts";
import { sumNeed } from "../../router/placement/room.ts";
import type {
  Change,
  OptimizationReply,
  Placement,
  PlannedSettings,
  PlanReply,
  PlanRequest,
  RecommendReply,
} from "./plan-schema.ts";

/** The planner's name → the request's. */
const NAMES = {
  contextLength: "ctx",
  parallel: "parallel",
  retainedMax: "retained",
  batchSize: "batchSize",
  microBatchSize: "ubatchSize",
  threads: "threads",
  kvType: "kvType",
  gpuLayers: "gpuLayers",
  deviceShares: "deviceShares",
  hostExpertLayers: "hostExpertLayers",
  checkpointBytes: "checkpointBytes",
  draft: "draft",
} as const satisfies Record<keyof AskedSettings, string>;

export function decodeAsked({ model: _model, goal: _goal, ...request }: PlanRequest): AskedSettings {
  const pairs = Object.entries(NAMES).flatMap(([name, field]) => {
    const value = (request as Record<string, unknown>)[field];
    return value === undefined ? [] : [[name, value]];
  });
  return Object.fromEntries(pairs);
}

export function encodePlan(report: PlanReport): PlanReply {
  const { plan, budget, residents, learned } = report;
  const fits = plan.verdict === "fits";
  return {
    model: report.model,
    goal: report.goal,
    verdict: plan.verdict,
    reason: fits ? null : plan.reason,
    source: fits ? report.source : null,
    notMeasured: report.unmeasured,
    convertTo: report.outType,
    asked: encodeSettings(report.asked),
    plan: fits ? encodePlaced(plan.placed) : null,
    options:
      plan.verdict === "fits-if"
        ? plan.options.map(({ kind, cost, change, placed }) => ({
            kind,
            cost,
            change: encodeChange(change),
            plan: encodePlaced(placed),
          }))
        : [],
    change: plan.verdict === "refused" ? encodeChange(plan.change) : null,
    short: fits ? [] : plan.short.map((short) => ({ ...short, leftBytes: Math.max(0, Math.floor(short.leftBytes)) })),
    machine: encodeMachine(budget),
    residents: residents.map(({ id, need, pinned }) => ({ model: id, bytes: Math.ceil(sumNeed(need)), pinned })),
    learned: encodeLearned(learned),
  };
}

export function encodeLearned(learned: Learned | null): PlanReply["learned"] {
  if (learned === null) return null;
  const { loads, excessBytes, lastPlannedBytes, lastMeasuredBytes } = learned;
  return {
    loads,
    excessBytes: Math.ceil(excessBytes),
    lastPlannedBytes: Math.ceil(lastPlannedBytes),
    lastMeasuredBytes: Math.ceil(lastMeasuredBytes),
  };
}

export function encodePlaced({ settings, need, totalBytes, embedding, lowered, speed }: Placed): Placement {
  return {
    settings: encodeSettings(settings) as PlannedSettings,
    memory: {
      host: encodeParts(need.host),
      devices: need.devices.map(encodeParts),
      totalBytes: Math.ceil(totalBytes),
      embeddingBytes: embedding && Math.ceil(sumNeed(embedding)),
    },
    lowered: lowered.map(({ setting, from, to }) => ({ setting: NAMES[setting], from, to })),
    speed: { ...speed },
  };
}

export function encodeMachine({ machine, restraints }: Budget): PlanReply["machine"] {
  return {
    pools: [machine.host, ...machine.devices].map((pool) => ({ ...pool })),
    unified: machine.unified,
    threads: machine.cores,
    restraints: restraints.map((restraint) => ({ ...restraint })),
  };
}

export function encodeOptimization({
  policy,
  budget,
  lowered,
  unknown,
}: OptimizationReport): Omit<OptimizationReply, "adaptation"> {
  const { automatic, ...shares } = policy;
  return {
    policy: { ...shares, autoOptimization: automatic },
    automatic: automatic ? Object.values(NAMES).filter((name) => name !== "kvType") : [],
    machine: encodeMachine(budget),
    lowered: lowered.map(({ model, setting, from, to }) => ({ model, setting: NAMES[setting], from, to })),
    unknown: { ...unknown },
  };
}

export function encodeRecommendation({ models, hardware }: Recommendation): Omit<RecommendReply, "hub"> {
  return {
    models: models.map(({ id, fileBytes, verdict, reason, placed }) => ({
      model: id,
      sizeBytes: fileBytes,
      verdict,
      reason,
      plan: placed && encodePlaced(placed),
    })),
    hardware: hardware.map(({ gained, ...change }) => ({ ...change, gained: [...gained] })),
  };
}

function encodeChange({ evict, asked, model, moreBytes }: PlanChange): Change {
  return {
    evict: [...evict],
    settings: encodeSettings(asked),
    model,
    moreBytes: moreBytes && { host: moreBytes.host, devices: [...moreBytes.devices] },
  };
}

/** What is there and undefined is to be left out: null says so. */
function encodeSettings(settings: AskedSettings): object {
  const names = Object.entries(NAMES).filter(([name]) => name in settings);
  return Object.fromEntries(names.map(([name, field]) => [field, settings[name as keyof AskedSettings] ?? null]));
}

function encodeParts(parts: MemoryParts): MemoryParts {
  return {
    weightsBytes: Math.ceil(parts.weightsBytes),
    mappedBytes: Math.ceil(parts.mappedBytes),
    kvBytes: Math.ceil(parts.kvBytes),
    computeBytes: Math.ceil(parts.computeBytes),
    overheadBytes: Math.ceil(parts.overheadBytes),
  };
}
