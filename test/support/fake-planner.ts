// A planner over the real decisions and an invented machine, without files or children; it records what it was asked.

import { AppError } from "../../src/protocol/errors.ts";
import { DEFAULT_BUDGET_POLICY } from "../../src/router/placement/budget.ts";
import type { AskedSettings, PlanQuestion } from "../../src/router/placement/plan.ts";
import type {
  HeaderModel,
  OptimizationReport,
  PlanningService,
  PlanReport,
  PlanRequest,
} from "../../src/router/placement/planning.ts";
import { recommend } from "../../src/router/placement/recommend.ts";
import { plan } from "../../src/router/placement.ts";
import { GIB, MIB, makeMachine, makeSubject } from "./random-plans.ts";

export class FakePlanner implements PlanningService {
  asked: PlanRequest[] = [];
  /** Thrown in place of an answer. */
  refusal: Error | null = null;
  machine = makeMachine(8 * GIB);
  subject = makeSubject({ id: "demo", layers: 4, layerBytes: 100 * MIB, kvBytesPerToken: 2048 });
  residents: PlanQuestion["residents"] = [];
  learned: PlanReport["learned"] = null;
  unmeasured: string | null = null;
  /** What flags say. */
  flags: AskedSettings = {};

  async plan(request: PlanRequest): Promise<PlanReport> {
    this.asked.push(request);
    if (this.refusal !== null) throw this.refusal;
    if (request.model !== undefined && request.model !== this.subject.id && request.model !== "default") {
      throw new AppError({ code: "model_not_found", message: `there is no model ${request.model}`, param: "model" });
    }
    const { machine, residents, subject, learned } = this;
    const { goal } = request;
    const asked = { ...this.flags, ...request.asked };
    const made = plan({ subject, machine, residents, asked, policy: { goal, automatic: true } });
    const budget = { machine, restraints: [] };
    return {
      model: subject.id,
      goal,
      asked,
      plan: made,
      source: "estimated",
      unmeasured: this.unmeasured,
      outType: null,
      budget,
      residents,
      learned,
    };
  }

  headers: HeaderModel[] = [];

  async planHeaders(model: HeaderModel): Promise<PlanReport> {
    this.headers.push(model);
    const report = await this.plan({ model: this.subject.id, asked: {}, goal: "balanced" });
    return { ...report, model: model.id, outType: model.facts.kind === "weights" ? "q8_0" : null };
  }

  async optimization(): Promise<OptimizationReport> {
    const restraints = [{ what: "threads" as const, from: 8, to: 4, reason: "the machine runs on battery" }];
    const budget = { machine: this.machine, restraints };
    const lowered = [{ model: "demo", setting: "contextLength" as const, from: 16_384, to: 4096 }];
    return { policy: DEFAULT_BUDGET_POLICY, budget, lowered, unknown: { driver: "there is none" } };
  }

  async recommend() {
    if (this.refusal !== null) throw this.refusal;
    return recommend([{ subject: this.subject, asked: {} }], this.machine);
  }

  async fileLimit() {
    return this.machine.host.budgetBytes;
  }

  async predictFile(sizeBytes: number) {
    return 50e9 / sizeBytes;
  }
}
