// Answers what a model would take here: asks for the machine, its speed, the model and what is loaded, plans, and has the
// plan confirmed by llama.cpp's own measure. Decides nothing itself: placement.ts does.

import type { Clock } from "../../lib/clock.ts";
import type { ModelEntry } from "../../models/entry.ts";
import { AppError, type ErrorCode } from "../../protocol/errors.ts";
import type { MachineSnapshot } from "../../protocol/machine.ts";
import type { MachineRates } from "../../protocol/machine-rates.ts";
import type { MemoryNeed } from "../../protocol/memory-need.ts";
import { plan } from "../placement.ts";
import { applyPlan, explainRefusal } from "./apply.ts";
import { type Budget, type BudgetPolicy, describeBudget } from "./budget.ts";
import { addDifference, isClear } from "./correction.ts";
import { type Deviation, type Learned, noteLoad, recallModel } from "./deviation.ts";
import { fileLimitBytes, predictFile } from "./file-fit.ts";
import type { Lowered, Placed, PlanPool, PlanQuestion, PlanSettings, Resident } from "./plan.ts";
import type {
  HeaderModel,
  LoadPlan,
  ModelReference,
  OptimizationReport,
  PlannedModel,
  PlannerEffects,
  PlanningService,
  PlanReport,
  PlanRequest,
} from "./planning.ts";
import { describeQuestion, estimatePlan, type Surroundings } from "./question.ts";
import { type Recommendation, recommend } from "./recommend.ts";
import { findShortfalls, leaveRoom, needByPool, sumNeed } from "./room.ts";
import { predictSpeed } from "./speed.ts";

/** The measure may say more than the formula: then it is planned again, with that much more. It converges at once but for steps of llama.cpp's own. */
const ROUNDS_MAX = 4;
/** What llama.cpp says of a file or of what was asked for: a load would end with the same, however much memory there is. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(["model_damaged", "format_unsupported", "not_supported"]);

type Look = Pick<Surroundings, "budget" | "residents">;

export class Planner implements PlanningService {
  readonly #effects: PlannerEffects;
  readonly #policy: BudgetPolicy;
  readonly #clock: Clock;
  /** Of the last look while no engine started or ended. */
  #settled: Budget | null = null;
  /** Of the file of each model that was planned for a load. */
  readonly #stamps = new Map<string, string>();
  /** What the last load of each model had to be lowered. */
  readonly #loads = new Map<string, readonly Lowered[]>();
  /** What the first embedding would add to each, by its key. */
  readonly #embeddings = new Map<string, MemoryNeed | null>();

  constructor(effects: PlannerEffects, policy: BudgetPolicy, clock: Clock) {
    this.#effects = effects;
    this.#policy = policy;
    this.#clock = clock;
  }

  async plan(request: PlanRequest): Promise<PlanReport> {
    return await this.#plan(await this.#effects.describe(request.model), request);
  }

  async #plan(
    described: PlannedModel,
    { model, asked, goal, quick = false, alone = false }: PlanRequest,
  ): Promise<PlanReport> {
    const outline = describeQuestion(described, this.#around(await this.#look(quick), { asked, goal, alone }));
    // What is not converted yet is nothing that llama.cpp could look at.
    if (described.outType !== undefined) return estimatePlan(outline);
    return { ...outline.report, ...(await this.#confirm(model, outline.question, quick)) };
  }

  async planHeaders(model: HeaderModel, { alone = false }: { alone?: boolean } = {}): Promise<PlanReport> {
    const look = await this.#look(true);
    const described = await this.#effects.describeHeaders(model, fileLimitBytes(look.budget.machine));
    return estimatePlan(describeQuestion(described, this.#around(look, { asked: {}, goal: "balanced", alone })));
  }

  #around({ budget, residents }: Look, request: Pick<Surroundings, "asked" | "goal" | "alone">): Surroundings {
    const { automatic } = this.#policy;
    return { budget, residents, ...request, automatic, deviations: this.#effects.deviations };
  }

  async optimization(): Promise<OptimizationReport> {
    const { budget, snapshot, residents } = await this.#lookClosely();
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

  /**
   * Of a load with the model's own settings, once all that can has made room for it; of weights that are not converted yet by the
   * formula, for the file that would be made. Null: it can't be planned, so it is loaded as it is. Throws `plan_refused`.
   */
  async planLoad(entry: ModelEntry): Promise<LoadPlan | null> {
    let report: PlanReport;
    let described: PlannedModel;
    this.#embeddings.delete(entry.engineKey);
    try {
      described = await this.#effects.describe(entry);
      const { stamp } = described;
      if (stamp !== null) this.#stamps.set(entry.id, stamp);
      report = await this.#plan(described, { model: entry, asked: {}, goal: "balanced", quick: true, alone: true });
    } catch (thrown) {
      this.#effects.warn(
        `${entry.id} is loaded without a plan: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
      );
      return null;
    }
    if (report.plan.verdict !== "fits") throw explainRefusal(report.plan);
    const { placed } = report.plan;
    const { stamp, subject } = described;
    this.#embeddings.set(entry.engineKey, placed.embedding);
    return {
      placed,
      poolBytes: needByPool(placed.need, report.budget.machine.unified),
      apply: (settings) => {
        this.#noteLowered(report.model, placed.lowered);
        return applyPlan(settings, placed, report);
      },
      note: (measured) => {
        if (stamp === null) return null;
        const planned = atLoad(placed, report, subject.useBytes(placed.settings));
        return this.noteLoad(stamp, placed.settings, planned, measured);
      },
    };
  }

  /** Of main memory first, then of each device: what all models together may take, as of the last plan. */
  pools(): readonly PlanPool[] {
    if (this.#settled === null) return [];
    const { host, devices } = this.#settled.machine;
    return [host, ...devices];
  }

  /** In the order of the pools. */
  byPool(need: MemoryNeed): readonly number[] {
    return needByPool(need, this.#settled?.machine.unified ?? false);
  }

  /** As of its last plan. Null: it adds nothing, or was never planned. */
  embeddingOf({ engineKey }: Pick<ModelEntry, "engineKey">): MemoryNeed | null {
    return this.#embeddings.get(engineKey) ?? null;
  }

  /** What its loads took; null: there were none, or it was not to be loaded since the start. */
  learnedOf(id: string): Learned | null {
    const stamp = this.#stamps.get(id);
    return stamp === undefined ? null : recallModel(this.#effects.deviations, stamp);
  }

  #noteLowered(model: string, all: readonly Lowered[]): void {
    this.#loads.set(model, all);
    const lowered = all.map(({ setting, from, to }) => `${setting} ${from} → ${to}`).join(", ");
    if (lowered !== "") this.#effects.warn(`${model} fits into its memory with less than usual: ${lowered}`);
  }

  /** After a load: what it took is put beside its plan. */
  noteLoad(stamp: string, settings: PlanSettings, planned: MemoryNeed, measured: MemoryNeed): Deviation {
    const atMs = this.#clock.wallMs();
    return noteLoad(this.#effects.deviations, { stamp, settings, planned, measured, atMs });
  }

  async #look(quick = false): Promise<Look> {
    // Whatever a reading would say now, the last budget holds; a load need not wait for it.
    const held = quick && this.#effects.isMoving() ? this.#settled : null;
    return held === null ? await this.#lookClosely(quick) : { budget: held, residents: this.#effects.residents() };
  }

  async #lookClosely(quick = false): Promise<Look & { snapshot: MachineSnapshot }> {
    const [snapshot, rates] = await Promise.all([this.#effects.snapshot(), this.#rates(quick)]);
    const residents = this.#effects.residents();
    return { budget: this.#settle(snapshot, residents, rates), snapshot, residents };
  }

  /** While an engine starts or ends, its memory looks like that of others: the last budget holds until it is there, or gone. */
  #settle(snapshot: MachineSnapshot, residents: readonly Resident[], rates: MachineRates | null): Budget {
    if (this.#settled === null || !this.#effects.isMoving()) {
      this.#settled = describeBudget(snapshot, this.#policy, residents, rates);
    }
    return this.#settled;
  }

  /** A load waits for a measurement only where there may be devices to plan with: without it there would be none. */
  async #rates(quick: boolean): Promise<MachineRates | null> {
    const known = quick ? this.#effects.recallRates() : null;
    if (known !== null || (quick && !this.#effects.usesDevices)) return known;
    return await this.#effects.rates();
  }

  /** What fits by the formula must fit by llama.cpp's account too. */
  async #confirm(
    model: ModelReference,
    question: PlanQuestion,
    quick: boolean,
  ): Promise<Pick<PlanReport, "plan" | "source" | "unmeasured">> {
    let now = question;
    for (let round = 0; ; round++) {
      const made = plan(now);
      const estimated = { plan: made, source: "estimated", unmeasured: null } as const;
      if (made.verdict !== "fits" || round === ROUNDS_MAX) return estimated;
      if (quick && isClear(now, made.placed.need)) return estimated;
      const { settings } = made.placed;
      const need = await this.#measure(model, question.subject.id, settings);
      if (need === null) return estimated;
      if (typeof need === "string") return { ...estimated, unmeasured: need };
      if (findShortfalls(need, leaveRoom(now.machine, now.residents)).length === 0) {
        const speed = predictSpeed(now.subject, now.machine, settings, need);
        return {
          plan: { verdict: "fits", placed: { ...made.placed, need, speed, totalBytes: sumNeed(need) } },
          source: "measured",
          unmeasured: null,
        };
      }
      now = { ...now, subject: addDifference(now.subject, made.placed.need, need) };
    }
  }

  /** A text: why there is no answer. Throws what a load would end with. */
  async #measure(model: ModelReference, id: string, settings: PlanSettings): Promise<MemoryNeed | string | null> {
    try {
      return await this.#effects.measure(model, settings);
    } catch (thrown) {
      if (thrown instanceof AppError && REFUSALS.has(thrown.code)) throw thrown;
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      this.#effects.warn(`${id} could not be measured: ${reason}`);
      return reason;
    }
  }
}

/**
 * What a load takes of it: not what requests bring later. What was learned is kept for as long as it is needed: a plan that holds
 * because of it teaches nothing else; llama.cpp's own account has none of it.
 */
function atLoad({ need }: Placed, { source, learned }: PlanReport, useBytes: number): MemoryNeed {
  const learnedBytes = source === "measured" || learned === null ? 0 : learned.excessBytes;
  const { host, devices } = need;
  return { host: { ...host, overheadBytes: host.overheadBytes - learnedBytes - useBytes }, devices };
}
