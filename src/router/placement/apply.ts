// A plan → what an engine is started with, and a plan that does not fit → the error of the load. Pure. Only what the plan had
// to lower is changed, and where layers go on a machine with devices: all else the engine chooses as ever.

import { formatBytes } from "../../lib/byte-count.ts";
import { AppError } from "../../protocol/errors.ts";
import type { EngineSettings } from "../../protocol/messages.ts";
import type { EngineChanges } from "../../protocol/model-settings.ts";
import type { Placed, Plan, PlanSettings } from "./plan.ts";
import type { PlanReport } from "./planning.ts";

export function applyPlan(
  settings: EngineSettings,
  placed: Placed,
  { budget }: Pick<PlanReport, "budget">,
): EngineSettings {
  const chosen = placed.settings;
  const changes: Partial<EngineSettings> = {};
  for (const { setting } of placed.lowered) Object.assign(changes, changeOf(setting, chosen));
  if (budget.machine.devices.length > 0) {
    const { gpuLayers, deviceShares, hostExpertLayers } = chosen;
    Object.assign(changes, { gpuLayers, deviceShares, hostExpertLayers });
  }
  const isRestrained = budget.restraints.some(({ what }) => what === "threads");
  if (isRestrained && settings.threads === 0) changes.threads = chosen.threads;
  return { ...settings, ...changes };
}

function changeOf(setting: keyof PlanSettings, chosen: PlanSettings): Partial<EngineSettings> {
  switch (setting) {
    case "contextLength":
    case "parallel":
    case "retainedMax":
    case "batchSize":
    case "microBatchSize":
    case "gpuLayers":
    case "hostExpertLayers":
      return { [setting]: chosen[setting] };
    case "checkpointBytes":
      return { checkpointBytesMax: chosen.checkpointBytes };
    case "draft":
      return { draft: null };
    // Never lowered by a plan: they are in no step of it.
    case "threads":
    case "kvType":
    case "deviceShares":
      return {};
  }
}

/** A setting of a plan → that of a model's own file. Threads and the type of keys and values are no plan's choice. */
const CHANGES = {
  contextLength: "ctx",
  parallel: "parallel",
  retainedMax: "retained",
  batchSize: "batchSize",
  microBatchSize: "ubatchSize",
  gpuLayers: "gpuLayers",
  deviceShares: "deviceShares",
  hostExpertLayers: "hostExpertLayers",
  checkpointBytes: "checkpointBytes",
} as const satisfies Partial<Record<keyof PlanSettings, keyof EngineChanges>>;
const OF_DEVICES: readonly string[] = ["gpuLayers", "deviceShares", "hostExpertLayers"];

/** What the plan chose, for a load: all that makes it this plan, without what was asked for anyway. */
export function describeChoices({ settings }: Placed, { asked, budget }: PlanReport): EngineChanges {
  const hasDevices = budget.machine.devices.length > 0;
  const chosen = (Object.keys(CHANGES) as (keyof typeof CHANGES)[]).filter((name) => {
    // 0 says "automatic" of a load, and a model without such states has nothing to choose.
    const isMeant = name !== "checkpointBytes" || settings.checkpointBytes > 0;
    return asked[name] === undefined && isMeant && (hasDevices || !OF_DEVICES.includes(name));
  });
  return Object.fromEntries(chosen.map((name) => [CHANGES[name], settings[name]]));
}

/** `plan_refused`, with what would make it fit. */
export function explainRefusal(plan: Exclude<Plan, { verdict: "fits" }>, outcome = "it is not loaded"): AppError {
  const message = `${plan.reason}; ${outcome}`;
  if (plan.verdict === "fits-if") {
    const [first, ...others] = plan.options;
    const more = others.length === 0 ? "" : ` (${others.length} other ways: ml-offload plan lists them)`;
    return new AppError({
      code: "plan_refused",
      message,
      hint: `It fits with this change: ${first.cost}${more}.`,
      param: "model",
    });
  }
  const { host = 0, devices = [] } = plan.change.moreBytes ?? {};
  const missing = formatBytes(devices.reduce((sum, bytes) => sum + bytes, host));
  const hint = `${missing} more would have to be free for models, or --memory-budget allow them.`;
  return new AppError({ code: "plan_refused", message, hint, param: "model" });
}
