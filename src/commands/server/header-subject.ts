// What is planned with where only headers are there: of a model of the Hub, or of a folder of weights that is not converted
// yet. For commands that start no server a plan is made of it here; a server's planner has its own machine and settings.

import { chooseOutType } from "../../convert/choose-out-type.ts";
import type { PlanHeaders } from "../../hub/read-remotely.ts";
import { inspectPath } from "../../models/inspect.ts";
import { readHeaderFacts } from "../../models/memory/header-facts.ts";
import type { ModelShape } from "../../models/memory/model-shape.ts";
import { describeRepacking } from "../../models/memory/repacking.ts";
import { AppError } from "../../protocol/errors.ts";
import type { MachineSource } from "../../protocol/machine.ts";
import { describeBudget } from "../../router/placement/budget.ts";
import { fileLimitBytes } from "../../router/placement/file-fit.ts";
import { recallRates } from "../../router/placement/machine-bench.ts";
import type { AskedSettings } from "../../router/placement/plan.ts";
import type { HeaderModel, PlannedModel, PlanReport } from "../../router/placement/planning.ts";
import { describeQuestion, estimatePlan } from "../../router/placement/question.ts";
import { describeSubject } from "../../router/placement/subject.ts";
import { describeAsked } from "./asked-settings.ts";
import { describePolicy, readConvertType, type ServeSettings } from "./serve-settings.ts";

export interface HeaderTerms {
  /** Of the processor. */
  simd: readonly string[];
  /** The plug-in that would compute; empty: not known. */
  plugin: string;
  /** `--convert-type`; null: whichever fits. */
  wantedType: string | null;
  /** Of a file of weights that fits; null: not known. */
  largestBytes: number | null;
  asked: AskedSettings;
}

/** Throws `format_unsupported`: there is nothing to plan with. */
export function describeHeaderModel({ id, facts }: HeaderModel, terms: HeaderTerms): PlannedModel {
  if (facts.kind === "none") throw unplannable(id, facts.reason);
  const outType = facts.kind === "weights" ? chooseType(facts, terms) : undefined;
  const shape = facts.kind === "gguf" ? facts.shape : facts.shapeAs(outType ?? facts.plainType);
  if (shape === null) throw unplannable(id, "its config.json does not tell its layers");
  const subject = describeSubject({
    id,
    shape,
    fileBytes: facts.kind === "gguf" ? facts.fileBytes : sumBytes(shape),
    repacking: describeRepacking(terms.simd, terms.plugin),
    draft: null,
    withHead: false,
    besideBytes: 0,
    savesStates: true,
    others: [],
  });
  return { subject, asked: terms.asked, stamp: null, ...(outType === undefined ? {} : { outType }) };
}

function chooseType(
  { parameterCount, plainType }: Extract<HeaderModel["facts"], { kind: "weights" }>,
  { wantedType, largestBytes }: HeaderTerms,
): string {
  const chosen = wantedType ?? chooseOutType(parameterCount, largestBytes);
  return chosen === "auto" ? plainType : chosen;
}

function sumBytes({ tensors }: ModelShape): number {
  return tensors.reduce((sum, { bytes }) => sum + bytes, 0);
}

export function unplannable(id: string, reason: string): AppError {
  const message = `${id} can't be planned: ${reason}`;
  return new AppError({ code: "format_unsupported", message, hint: "It may load all the same.", param: "model" });
}

/** As if nothing else were loaded, and with a speed only where it was measured before: what a command without a server knows of. */
export async function planHeadersHere(
  model: HeaderModel,
  machine: MachineSource,
  { config, said, folders }: ServeSettings,
): Promise<PlanReport> {
  const snapshot = await machine.read(0);
  const policy = describePolicy(config);
  const budget = describeBudget(snapshot, policy, [], recallRates(folders.cache));
  const terms: HeaderTerms = {
    simd: snapshot.cpu.simd,
    plugin: "",
    wantedType: readConvertType(config),
    largestBytes: fileLimitBytes(budget.machine),
    asked: describeAsked(config, said, {}),
  };
  const around = { residents: [], asked: {}, goal: "balanced", alone: true, deviations: null } as const;
  const { automatic } = policy;
  return estimatePlan(describeQuestion(describeHeaderModel(model, terms), { ...around, budget, automatic }));
}

export function confirmHere(machine: MachineSource, settings: ServeSettings): PlanHeaders {
  return confirmFits((model) => planHeadersHere(model, machine, settings));
}

/** For downloads: whether the model would load here, alone and with nothing asked for beyond what is configured. */
export function confirmFits(planHeaders: (model: HeaderModel) => Promise<PlanReport>): PlanHeaders {
  return (source, path) => {
    const facts = readHeaderFacts(inspectPath(path, { source }), source);
    return async () => {
      if (facts.kind === "none") return null;
      return (await planHeaders({ id: path, facts })).plan.verdict === "fits";
    };
  };
}
