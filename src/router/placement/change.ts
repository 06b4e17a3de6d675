// A change of a question: what an option or a refusal proposes, made. Whoever plans again with it sees that it holds. Pure.

import type { PlanChange, PlanMachine, PlanPool, PlanQuestion } from "./plan.ts";

export const NO_CHANGE: PlanChange = { evict: [], asked: {}, model: null, moreBytes: null };

export function applyChange(question: PlanQuestion, change: PlanChange): PlanQuestion {
  const { subject, machine, residents, asked } = question;
  const { evict, model, moreBytes } = change;
  return {
    ...question,
    subject: model === null ? subject : (subject.others.find(({ id }) => id === model) ?? subject),
    machine: moreBytes === null ? machine : growMachine(machine, moreBytes),
    residents: residents.filter(({ id }) => !evict.includes(id)),
    asked: { ...asked, ...change.asked },
  };
}

/** Budgets are what grows: how much memory that takes is a matter of the shares that models may have. */
function growMachine(machine: PlanMachine, more: NonNullable<PlanChange["moreBytes"]>): PlanMachine {
  const grow = (pool: PlanPool, bytes: number): PlanPool => ({
    ...pool,
    budgetBytes: pool.budgetBytes === null ? null : pool.budgetBytes + bytes,
  });
  return {
    ...machine,
    host: grow(machine.host, more.host),
    devices: machine.devices.map((pool, at) => grow(pool, more.devices[at] ?? 0)),
  };
}
