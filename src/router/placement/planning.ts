// What the planner is asked and what it answers, and what it needs from outside. Types only.

import type { ModelEntry } from "../../models/entry.ts";
import type { HeaderFacts } from "../../models/memory/header-facts.ts";
import type { MachineSnapshot } from "../../protocol/machine.ts";
import type { MachineRates } from "../../protocol/machine-rates.ts";
import type { MemoryNeed } from "../../protocol/memory-need.ts";
import type { EngineSettings } from "../../protocol/messages.ts";
import type { Budget, BudgetPolicy } from "./budget.ts";
import type { Deviation, DeviationStore, Learned } from "./deviation.ts";
import type { AskedSettings, Lowered, Placed, Plan, PlanGoal, PlanSettings, PlanSubject, Resident } from "./plan.ts";
import type { Recommendation } from "./recommend.ts";

/** A model as it would be planned with. */
export interface PlannedModel {
  subject: PlanSubject;
  /** What the server's settings and the model's own file say explicitly. `gpuLayers` -1: all of them. */
  asked: AskedSettings;
  /** Of its file: another one under the same name is another model. Null: it has none here that could be loaded. */
  stamp: string | null;
  /** What its weights would be converted to first, as `--outtype` takes it; absent: nothing has to be. */
  outType?: string;
}

/** A model of which headers alone were read: on a Hub, or not converted yet. */
export interface HeaderModel {
  id: string;
  facts: HeaderFacts;
}

/** A name or alias; absent: the default model; an entry: with the settings that it has, whatever the listings say. */
export type ModelReference = string | undefined | ModelEntry;

export interface PlannerEffects {
  snapshot(): Promise<MachineSnapshot>;
  rates(): Promise<MachineRates | null>;
  /** What was measured before; null: nothing. */
  recallRates(): MachineRates | null;
  /** Engines compute on more than the processor: what there is shows only when it is measured. */
  usesDevices: boolean;
  residents(): readonly Resident[];
  /** An engine starts or ends: what it has is nobody's to tell. */
  isMoving(): boolean;
  /** Throws AppError. */
  describe(model: ModelReference): Promise<PlannedModel>;
  /** `largestBytes`: of a file of weights that fits; null: not known. Throws AppError: there is nothing to plan with. */
  describeHeaders(model: HeaderModel, largestBytes: number | null): Promise<PlannedModel>;
  /** Those that can be loaded. */
  listModels(): readonly string[];
  /** llama.cpp's own account of a load with these settings; null: it has none. */
  measure(model: ModelReference, settings: PlanSettings): Promise<MemoryNeed | null>;
  deviations: DeviationStore;
  warn(message: string): void;
}

export interface PlanRequest {
  model: ModelReference;
  /** Over what the server's settings and the model's file say. */
  asked: AskedSettings;
  goal: PlanGoal;
  /** For a load: speed is told only where it is known already, and llama.cpp is asked only where it is a near thing. */
  quick?: boolean;
  /** As if nothing else were loaded: for a load, for which others make room. */
  alone?: boolean;
}

export interface PlanReport {
  model: string;
  goal: PlanGoal;
  /** All that was asked for, wherever. */
  asked: AskedSettings;
  plan: Plan;
  /** `measured`: by llama.cpp with these settings; `estimated`: by the formula. Of a plan that fits. */
  source: "measured" | "estimated";
  /** Why llama.cpp gave no answer when it was asked; null: it gave one, or was not asked. */
  unmeasured: string | null;
  /** What its weights would be converted to first; null: nothing has to be. */
  outType: string | null;
  budget: Budget;
  residents: readonly Resident[];
  /** What earlier loads took; null: there were none. */
  learned: Learned | null;
}

export interface LoadPlan {
  placed: Placed;
  /** In the order of the pools. */
  poolBytes: readonly number[];
  apply(settings: EngineSettings): EngineSettings;
  /** What the engine says that it took. Null: it was planned before there was a file that this could be remembered of. */
  note(measured: MemoryNeed): Deviation | null;
}

export interface OptimizationReport {
  policy: BudgetPolicy;
  budget: Budget;
  /** Of models that are loaded: what they have less of, so that they fit. */
  lowered: readonly (Lowered & { model: string })[];
  /** What the probe could not read, by its path. */
  unknown: Readonly<Record<string, string>>;
}

/** What the API and the commands know of it. */
export interface PlanningService {
  /** Throws AppError: the model is not known, can't be read, or llama.cpp refuses it. */
  plan(request: PlanRequest): Promise<PlanReport>;
  /** By the formula alone. Throws `format_unsupported`: there is nothing to plan with. */
  planHeaders(model: HeaderModel, options?: { alone?: boolean }): Promise<PlanReport>;
  optimization(): Promise<OptimizationReport>;
  /** Of what is on the disk, best first. */
  recommend(): Promise<Recommendation>;
  /** The largest file of weights that fits beside what is loaded; null: not known. */
  fileLimit(): Promise<number | null>;
  /** Tokens a second of a file of which only the size is known; null: not known. */
  predictFile(sizeBytes: number): Promise<number | null>;
}
