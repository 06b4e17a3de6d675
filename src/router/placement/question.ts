// A model and the machine → the question that a plan answers, what is told around the answer, and the answer of the formula
// alone. Pure; whoever has llama.cpp confirm an answer does it elsewhere.

import { plan } from "../placement.ts";
import type { Budget } from "./budget.ts";
import { addExcess } from "./correction.ts";
import { type DeviationStore, recallModel } from "./deviation.ts";
import type { AskedSettings, PlanGoal, PlanQuestion, PlanSubject, Resident } from "./plan.ts";
import type { PlannedModel, PlanReport } from "./planning.ts";

export interface Surroundings {
  budget: Budget;
  residents: readonly Resident[];
  /** Over what is said of the model. */
  asked: AskedSettings;
  goal: PlanGoal;
  /** As if nothing else were loaded. */
  alone: boolean;
  automatic: boolean;
  /** Null: nothing was ever loaded. */
  deviations: DeviationStore | null;
}

export interface Outline {
  question: PlanQuestion;
  report: Omit<PlanReport, "plan" | "source" | "unmeasured">;
}

export function describeQuestion({ subject, asked, stamp, outType }: PlannedModel, around: Surroundings): Outline {
  const { budget, goal, deviations } = around;
  const residents = around.alone ? [] : around.residents.filter(({ id }) => id !== subject.id);
  const learned = stamp === null || deviations === null ? null : recallModel(deviations, stamp);
  const question: PlanQuestion = {
    subject: addExcess(subject, learned?.excessBytes ?? 0),
    machine: budget.machine,
    residents,
    asked: settleLayers({ ...asked, ...present(around.asked) }, subject, budget),
    policy: { goal, automatic: around.automatic },
  };
  const report = {
    model: subject.id,
    goal,
    asked: question.asked,
    outType: outType ?? null,
    budget,
    residents,
    learned,
  };
  return { question, report };
}

export function estimatePlan({ question, report }: Outline): PlanReport {
  return { ...report, plan: plan(question), source: "estimated", unmeasured: null };
}

/** -1, and as many as there are or more, mean all of them; on a machine without devices all are none. */
function settleLayers(asked: AskedSettings, subject: PlanSubject, { machine }: Budget): AskedSettings {
  const { gpuLayers, ...rest } = asked;
  // It is said to a whole server, and a model without experts has none to keep anywhere.
  if (rest.hostExpertLayers !== undefined)
    rest.hostExpertLayers = Math.min(rest.hostExpertLayers, subject.expertLayers);
  if (gpuLayers === undefined) return rest;
  const all = subject.layers + 1;
  if (gpuLayers >= 0 && gpuLayers < all) return { ...rest, gpuLayers };
  return machine.devices.length === 0 ? rest : { ...rest, gpuLayers: all };
}

function present(asked: AskedSettings): AskedSettings {
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
}
