// Answers what a model would take here: asks for the machine, its speed, the model and what is loaded, plans, and has the
// plan confirmed by llama.cpp's own measure. Decides nothing itself: placement.ts does.

import type { Clock } from "../lib/clock.ts";
import type { MachineSnapshot } from "../protocol/machine.ts";
import type { MachineRates } from "../protocol/machine-rates.ts";
import type { MemoryNeed } from "../protocol/memory-need.ts";
import type { EngineSettings } from "../protocol/messages.ts";
import { applyPlan, explainRefusal } from "./placement/apply.ts";
import { type Budget, type BudgetPolicy, describeBudget } from "./placement/budget.ts";
import { addDifference, addExcess, isClear } from "./placement/correction.ts";
import { type Deviation, type DeviationStore, type Learned, noteLoad, recallModel } from "./placement/deviation.ts";
import { fileLimitBytes, predictFile } from "./placement/file-fit.ts";
import type {
  AskedSettings,
  Lowered,
  Placed,
  Plan,
  PlanGoal,
  PlanQuestion,
  PlanSettings,
  PlanSubject,
  Resident,
} from "./placement/plan.ts";
import { type Recommendation, recommend } from "./placement/recommend.ts";
import { findShortfalls, leaveRoom, sumNeed } from "./placement/room.ts";
import { predictSpeed } from "./placement/speed.ts";
import { plan } from "./placement.ts";

/** A model as it would be planned with. */
export interface PlannedModel {
  subject: PlanSubject;
  /** What the server's settings and the model's own file say explicitly. `gpuLayers` -1: all of them. */
  asked: AskedSettings;
  /** Of its file: another one under the same name is another model. */
  stamp: string;
}

export interface PlannerEffects {
  snapshot(): Promise<MachineSnapshot>;
  rates(): Promise<MachineRates | null>;
  /** What was measured before; null: nothing. */
  recallRates(): MachineRates | null;
  /** Engines compute on more than the processor: what there is shows only when it is measured. */
  usesDevices: boolean;
  residents(): readonly Resident[];
  /** Name, alias or absent. Throws AppError. */
  describe(model: string | undefined): Promise<PlannedModel>;
  /** Those that can be loaded. */
  listModels(): readonly string[];
  /** llama.cpp's own account of a load with these settings; null: it has none. */
  measure(model: string, settings: PlanSettings): Promise<MemoryNeed | null>;
  deviations: DeviationStore;
  warn(message: string): void;
}

export interface PlanRequest {
  model: string | undefined;
  /** Over what the server's settings and the model's file say. */
  asked: AskedSettings;
  goal: PlanGoal;
  /** For a load: speed is told only where it is known already, and llama.cpp is asked only where it is a near thing. */
  quick?: boolean;
  /** As if nothing else were loaded. */
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
  budget: Budget;
  residents: readonly Resident[];
  /** What earlier loads took; null: there were none. */
  learned: Learned | null;
}

export interface LoadPlan {
  placed: Placed;
  apply(settings: EngineSettings): EngineSettings;
  /** What the engine says that it took. */
  note(measured: MemoryNeed): Deviation;
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
  /** Throws AppError: the model is not known, or can't be read. */
  plan(request: PlanRequest): Promise<PlanReport>;
  optimization(): Promise<OptimizationReport>;
  /** Of what is on the disk, best first. */
  recommend(): Promise<Recommendation>;
  /** The largest file of weights that fits beside what is loaded; null: not known. */
  fileLimit(): Promise<number | null>;
  /** Tokens a second of a file of which only the size is known; null: not known. */
  predictFile(sizeBytes: number): Promise<number | null>;
}

/** The measure may say more than the formula: then it is planned again, with that much more. It converges at once but for steps of llama.cpp's own. */
const ROUNDS_MAX = 4;

export class Planner implements PlanningService {
  readonly #effects: PlannerEffects;
  readonly #policy: BudgetPolicy;
  readonly #clock: Clock;
  /** What the last load of each model had to be lowered. */
  readonly #loads = new Map<string, readonly Lowered[]>();

  constructor(effects: PlannerEffects, policy: BudgetPolicy, clock: Clock) {
    this.#effects = effects;
    this.#policy = policy;
    this.#clock = clock;
  }

  async plan({ model, asked, goal, quick = false, alone = false }: PlanRequest): Promise<PlanReport> {
    const described = await this.#effects.describe(model);
    const { budget, residents } = await this.#look(quick);
    const others = alone ? [] : residents.filter(({ id }) => id !== described.subject.id);
    const learned = recallModel(this.#effects.deviations, described.stamp);
    const question: PlanQuestion = {
      subject: addExcess(described.subject, learned?.excessBytes ?? 0),
      machine: budget.machine,
      residents: others,
      asked: settleLayers({ ...described.asked, ...present(asked) }, described.subject, budget),
      policy: { goal, automatic: this.#policy.automatic },
    };
    const made = await this.#confirm(question, quick);
    return { model: described.subject.id, goal, asked: question.asked, ...made, budget, residents: others, learned };
  }

  /** What it takes alone on this machine, for whoever makes room for it. Throws `plan_refused`, and what `describe` throws. */
  async needOf(model: string): Promise<MemoryNeed> {
    const { plan: made } = await this.plan({ model, asked: {}, goal: "balanced", quick: true, alone: true });
    if (made.verdict !== "fits") throw explainRefusal(made);
    return made.placed.need;
  }

  /** What earlier loads of it took; null: there were none. */
  async learned(model: string): Promise<Learned | null> {
    const { stamp } = await this.#effects.describe(model);
    return recallModel(this.#effects.deviations, stamp);
  }

  async optimization(): Promise<OptimizationReport> {
    const { budget, snapshot, residents } = await this.#look();
    const lowered = residents.flatMap(({ id }) => (this.#loads.get(id) ?? []).map((one) => ({ model: id, ...one })));
    return { policy: this.#policy, budget, lowered, unknown: snapshot.unknown };
  }

  async recommend(): Promise<Recommendation> {
    const { budget } = await this.#look();
    const subjects: PlannedModel[] = [];
    for (const id of this.#effects.listModels()) {
      try {
        subjects.push(await this.#effects.describe(id));
      } catch (thrown) {
        this.#effects.warn(`${id} can't be recommended: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      }
    }
    return recommend(subjects, budget.machine);
  }

  async fileLimit(): Promise<number | null> {
    // Nobody who looks for a file waits for a measurement.
    const snapshot = await this.#effects.snapshot();
    const rates = this.#effects.recallRates();
    return fileLimitBytes(describeBudget(snapshot, this.#policy, this.#effects.residents(), rates).machine);
  }

  async predictFile(sizeBytes: number): Promise<number | null> {
    const { budget } = await this.#look();
    return predictFile(sizeBytes, budget.machine);
  }

  /** Of a load with the model's own settings. Null: it can't be planned, so it is loaded as it is. Throws `plan_refused`. */
  async planLoad(model: string): Promise<LoadPlan | null> {
    let report: PlanReport;
    let stamp: string;
    try {
      ({ stamp } = await this.#effects.describe(model));
      report = await this.plan({ model, asked: {}, goal: "balanced", quick: true });
    } catch (thrown) {
      this.#effects.warn(
        `${model} is loaded without a plan: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
      );
      return null;
    }
    if (report.plan.verdict !== "fits") throw explainRefusal(report.plan);
    const { placed } = report.plan;
    this.#loads.set(report.model, placed.lowered);
    const lowered = placed.lowered.map(({ setting, from, to }) => `${setting} ${from} → ${to}`).join(", ");
    if (lowered !== "") this.#effects.warn(`${report.model} fits into its memory with less than usual: ${lowered}`);
    return {
      placed,
      apply: (settings) => applyPlan(settings, placed, report),
      note: (measured) => this.noteLoad(stamp, placed.settings, placed.need, measured),
    };
  }

  /** After a load: what it took is put beside its plan. */
  noteLoad(stamp: string, settings: PlanSettings, planned: MemoryNeed, measured: MemoryNeed): Deviation {
    const atMs = this.#clock.wallMs();
    return noteLoad(this.#effects.deviations, { stamp, settings, planned, measured, atMs });
  }

  async #look(quick = false): Promise<{ budget: Budget; snapshot: MachineSnapshot; residents: readonly Resident[] }> {
    const [snapshot, rates] = await Promise.all([this.#effects.snapshot(), this.#rates(quick)]);
    const residents = this.#effects.residents();
    return { budget: describeBudget(snapshot, this.#policy, residents, rates), snapshot, residents };
  }

  /** A load waits for a measurement only where there may be devices to plan with: without it there would be none. */
  async #rates(quick: boolean): Promise<MachineRates | null> {
    const known = quick ? this.#effects.recallRates() : null;
    if (known !== null || (quick && !this.#effects.usesDevices)) return known;
    return await this.#effects.rates();
  }

  /** What fits by the formula must fit by llama.cpp's account too. */
  async #confirm(question: PlanQuestion, quick: boolean): Promise<Pick<PlanReport, "plan" | "source">> {
    let now = question;
    for (let round = 0; ; round++) {
      const made = plan(now);
      if (made.verdict !== "fits" || round === ROUNDS_MAX) return { plan: made, source: "estimated" };
      if (quick && isClear(now, made.placed.need)) return { plan: made, source: "estimated" };
      const { settings } = made.placed;
      const need = await this.#measure(question.subject.id, settings);
      if (need === null) return { plan: made, source: "estimated" };
      if (findShortfalls(need, leaveRoom(now.machine, now.residents)).length === 0) {
        const speed = predictSpeed(now.subject, now.machine, settings, need);
        return {
          plan: { verdict: "fits", placed: { ...made.placed, need, speed, totalBytes: sumNeed(need) } },
          source: "measured",
        };
      }
      now = { ...now, subject: addDifference(now.subject, made.placed.need, need) };
    }
  }

  async #measure(id: string, settings: PlanSettings): Promise<MemoryNeed | null> {
    try {
      return await this.#effects.measure(id, settings);
    } catch (thrown) {
      this.#effects.warn(`${id} could not be measured: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      return null;
    }
  }
}

/** -1, and more than there are, mean all of them; on a machine without devices all are none. */
function settleLayers(asked: AskedSettings, subject: PlanSubject, { machine }: Budget): AskedSettings {
  const { gpuLayers, ...rest } = asked;
  // It is said to a whole server, and a model without experts has none to keep anywhere.
  if (rest.hostExpertLayers !== undefined)
    rest.hostExpertLayers = Math.min(rest.hostExpertLayers, subject.expertLayers);
  if (gpuLayers === undefined) return rest;
  if (gpuLayers < 0 && machine.devices.length === 0) return rest;
  const all = subject.layers + 1;
  return { ...rest, gpuLayers: gpuLayers < 0 ? all : Math.min(gpuLayers, all) };
}

function present(asked: AskedSettings): AskedSettings {
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
}
