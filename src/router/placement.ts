// The planner: what a model takes on this machine, before it is loaded. A plan is a contract: it never passes a budget, what was
// asked for is kept or the plan says what would have to change, and what it proposes has been planned. Pure: no file, no
// clock, no probe. docs/planner.md tells how it decides.

import { formatBytes } from "../lib/byte-count.ts";
import { applyChange, NO_CHANGE } from "./placement/change.ts";
import { listOptions } from "./placement/options.ts";
import type { Plan, PlanChange, PlanQuestion, Shortfall } from "./placement/plan.ts";
import { findConflict, findLeast, placeModel, withoutConflict } from "./placement/search.ts";

/** Nobody adds less. */
const SHRINK_STEP_BYTES = 1024 * 1024;

export function plan(question: PlanQuestion): Plan {
  const placed = placeModel(question);
  if (placed !== null) return { verdict: "fits", placed };
  const conflict = findConflict(question);
  const asked = withoutConflict(question);
  const least = findLeast({ ...question, asked: { ...question.asked, ...asked } });
  const { short } = least;
  const reason = conflict ?? describeShortfall(question, short);
  const [first, ...others] = listOptions(question);
  if (first !== undefined) return { verdict: "fits-if", reason, short, options: [first, ...others] };
  return { verdict: "refused", reason, short, change: shrinkChange(question, { ...growMemory(least.missing), asked }) };
}

/** `a` is better: negative. Plans of the same question on machines that differ. */
export function comparePlans(a: Plan, b: Plan): number {
  const order = { fits: 0, "fits-if": 1, refused: 2 };
  if (a.verdict !== b.verdict) return order[a.verdict] - order[b.verdict];
  return a.verdict === "fits" && b.verdict === "fits" ? a.placed.rank - b.placed.rank : 0;
}

/** Several devices can share layers in more ways than were looked at: what another way does without is taken off again. */
function shrinkChange(question: PlanQuestion, change: PlanChange): PlanChange {
  const { moreBytes } = change;
  if (moreBytes === null || question.machine.devices.length < 2) return change;
  const counts = [moreBytes.host, ...moreBytes.devices];
  for (const [pool, bytes] of counts.entries()) {
    const fits = (steps: number): boolean => {
      const trial = growMemory(counts.with(pool, Math.min(bytes, steps * SHRINK_STEP_BYTES)));
      return placeModel(applyChange(question, { ...change, ...trial, asked: change.asked })) !== null;
    };
    let [low, high] = [0, Math.ceil(bytes / SHRINK_STEP_BYTES)];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (fits(middle)) high = middle;
      else low = middle + 1;
    }
    counts[pool] = Math.min(bytes, low * SHRINK_STEP_BYTES);
  }
  return { ...change, moreBytes: growMemory(counts).moreBytes };
}

function growMemory([host = 0, ...devices]: readonly number[]): PlanChange {
  return { ...NO_CHANGE, moreBytes: { host, devices } };
}

function describeShortfall({ subject, machine, residents }: PlanQuestion, short: readonly Shortfall[]): string {
  const pools = [machine.host, ...machine.devices];
  const parts = short.map(({ pool, neededBytes, leftBytes }) => {
    const reason = pools.find(({ name }) => name === pool)?.reason ?? "";
    const left = formatBytes(Math.max(0, leftBytes));
    return `${formatBytes(neededBytes)} of ${pool}, where ${left} are left for it (${reason})`;
  });
  const loaded = residents.length === 0 ? "" : ` beside ${residents.map(({ id }) => id).join(", ")}`;
  return `${subject.id} takes at least ${parts.join(", and ")}${loaded}`;
}
