// A plan and recommendations as people read them in a terminal. Pure.

import { formatBytes } from "../../lib/byte-count.ts";
import type { MemoryParts } from "../../protocol/memory-need.ts";
import type { Placed, PlanOption } from "../../router/placement/plan.ts";
import type { PlanReport } from "../../router/placement/planning.ts";
import type { Recommendation } from "../../router/placement/recommend.ts";
import { sumNeed, sumParts } from "../../router/placement/room.ts";

export function renderPlan(report: PlanReport): string {
  const { plan, budget, residents, learned } = report;
  const { machine, restraints } = budget;
  const pools = [machine.host, ...machine.devices].map(({ name, budgetBytes, reason }) =>
    line(name, `${budgetBytes === null ? "no limit is known" : `${formatBytes(budgetBytes)} for models`} (${reason})`),
  );
  const held = restraints.map(({ what, from, to, reason }) => {
    const tell = (value: number): string => (what === "memory" ? formatBytes(value) : String(value));
    return line("lowered", `${what} from ${tell(from)} to ${tell(to)}: ${reason}`);
  });
  const beside = residents.map(({ id }) => line("beside", id));
  const earlier = learned === null ? [] : [line("earlier", describeLearned(learned))];
  return `${[`${report.model}: ${describeVerdict(report)}`, ...describeType(report), ...describeBody(), ...pools, ...held, ...beside, ...earlier].join("\n")}\n`;

  function describeBody(): string[] {
    switch (plan.verdict) {
      case "fits":
        return describePlaced(plan.placed, report);
      case "fits-if":
        return plan.options.map((option, at) => describeOption(option, at));
      case "refused": {
        const { moreBytes } = plan.change;
        const needs = [moreBytes?.host ?? 0, ...(moreBytes?.devices ?? [])];
        const names = [machine.host, ...machine.devices].map(({ name }) => name);
        return needs.flatMap((bytes, at) =>
          bytes === 0 ? [] : [line("missing", `${formatBytes(bytes)} of ${names[at]}`)],
        );
      }
    }
  }
}

function describeType({ outType }: PlanReport): string[] {
  return outType === null ? [] : [line("converted", `to ${outType} first, as this is planned`)];
}

function describeVerdict({ plan }: PlanReport): string {
  if (plan.verdict === "fits") return "fits";
  return `${plan.verdict === "refused" ? "does not fit" : "does not fit as it is"}: ${plan.reason}`;
}

function describePlaced(placed: Placed, { budget, source, unmeasured }: PlanReport): string[] {
  const { settings, need, embedding, lowered, speed } = placed;
  const names = [budget.machine.host, ...budget.machine.devices].map(({ name }) => name);
  const memory = [need.host, ...need.devices].flatMap((parts, at) =>
    sumParts(parts) === 0
      ? []
      : [line("memory", `${formatBytes(sumParts(parts))} of ${names[at]}: ${describeParts(parts)}`)],
  );
  const layers = budget.machine.devices.length === 0 ? "" : `, ${settings.gpuLayers} layers on devices`;
  const experts =
    settings.hostExpertLayers === 0 ? "" : `, experts of ${settings.hostExpertLayers} layers in main memory`;
  return [
    line("settings", `${describeSettings(placed)}${layers}${experts}`),
    ...memory,
    ...(embedding === null ? [] : [line("embeddings", `${formatBytes(Math.ceil(sumNeed(embedding)))} more, if asked`)]),
    line("counted", source === "measured" ? "by llama.cpp with these settings" : "by the formula"),
    ...(unmeasured === null ? [] : [line("not asked", `llama.cpp, which could not tell: ${unmeasured}`)]),
    ...lowered.map(({ setting, from, to }) => line("lowered", `${setting} from ${from} to ${to}, so that it fits`)),
    line("speed", describeSpeed(speed)),
    line("load", describeLoad(speed)),
  ];
}

function describeSettings({ settings }: Placed): string {
  const { contextLength, parallel, microBatchSize, kvType, threads } = settings;
  return `a context of ${contextLength} tokens in ${kvType}, ${parallel} sequences at once, micro batches of ${microBatchSize}, ${threads} threads`;
}

function describeParts(parts: MemoryParts): string {
  const words = {
    weightsBytes: "weights",
    mappedBytes: "mapped weights",
    kvBytes: "KV",
    computeBytes: "compute",
    overheadBytes: "other",
  };
  return (Object.keys(words) as (keyof typeof words)[])
    .flatMap((name) => (parts[name] === 0 ? [] : [`${words[name]} ${formatBytes(Math.ceil(parts[name]))}`]))
    .join(", ");
}

function describeSpeed({ tokensPerSecond, fullTokensPerSecond, promptTokensPerSecond }: Placed["speed"]): string {
  if (promptTokensPerSecond === null) return "not known";
  const prompt = `prompts ${tell(promptTokensPerSecond)} tokens/s`;
  if (tokensPerSecond === null) return prompt;
  const full = fullTokensPerSecond === null ? "" : ` (${tell(fullTokensPerSecond)} with a full context)`;
  return `about ${tell(tokensPerSecond)} tokens/s${full}, ${prompt}`;
}

function describeLoad({ loadSeconds, cachedLoadSeconds }: Placed["speed"]): string {
  if (cachedLoadSeconds === null) return "not known";
  const cached = `${cachedLoadSeconds.toFixed(1)} s from the page cache`;
  return loadSeconds === null ? cached : `${loadSeconds.toFixed(1)} s from the disk, ${cached}`;
}

function describeOption({ cost, placed }: PlanOption, at: number): string {
  const rate = placed.speed.tokensPerSecond;
  const speed = rate === null ? "" : `; about ${tell(rate)} tokens/s`;
  return line(at === 0 ? "fits if" : "or", `${cost} (${formatBytes(Math.ceil(placed.totalBytes))}${speed})`);
}

function describeLearned({
  loads,
  lastPlannedBytes,
  lastMeasuredBytes,
  excessBytes,
}: NonNullable<PlanReport["learned"]>): string {
  const excess = excessBytes === 0 ? "" : `; ${formatBytes(excessBytes)} more are counted for that`;
  return `${loads} loads, the last one took ${formatBytes(lastMeasuredBytes)} where ${formatBytes(lastPlannedBytes)} were planned${excess}`;
}

export function renderRecommendation({ models, hardware }: Recommendation): string {
  if (models.length === 0) return "There are no models here; ml-offload search finds some.\n";
  const lines = models.map(({ id, fileBytes, verdict, reason }) => {
    const mark = verdict === "fits" ? "" : verdict === "refused" ? "does not fit: " : "does not fit as it is: ";
    return `${id} (${formatBytes(fileBytes)}): ${mark}${reason}`;
  });
  const helps = hardware.map(({ description, gained, speedup }) => {
    const gain = gained.length === 0 ? "" : `: then ${gained.join(", ")} would fit`;
    const faster = speedup === null || speedup <= 1.05 ? "" : `, tokens come ${speedup.toFixed(1)} times as fast`;
    return `${description}${gain}${faster}`;
  });
  const more = helps.length === 0 ? [] : ["", "What would help most:", ...helps.map((help) => `  ${help}`)];
  return `${[...lines, ...more].join("\n")}\n`;
}

function line(name: string, text: string): string {
  return `  ${`${name}:`.padEnd(16)}${text}`;
}

function tell(rate: number): string {
  return rate < 10 ? rate.toFixed(1) : String(Math.round(rate));
}
