// What must hold for every plan, on thousands of machines, models and wishes from a seed. A failure names its seed.

import { expect, test } from "bun:test";
import { applyChange } from "../../../src/router/placement/change.ts";
import type { Placed, Plan, PlanQuestion } from "../../../src/router/placement/plan.ts";
import { needByPool } from "../../../src/router/placement/room.ts";
import { comparePlans, plan } from "../../../src/router/placement.ts";
import { makeRandom } from "../../support/random.ts";
import { growBudgets, MIB, makeRandomQuestion } from "../../support/random-plans.ts";

const SEEDS = 2000;
const cases = Array.from({ length: SEEDS }, (_, seed) => {
  const question = makeRandomQuestion(seed);
  return { seed, question, made: plan(question) };
});

/** Over all models that would then be loaded; a pool that the model takes nothing of is not its concern. */
function assertWithinBudget({ machine, residents }: PlanQuestion, placed: Placed, at: string): void {
  const own = needByPool(placed.need, machine.unified);
  for (const [pool, { name, budgetBytes }] of [machine.host, ...machine.devices].entries()) {
    if (budgetBytes === null || own[pool] === 0) continue;
    const taken = residents.reduce(
      (sum, { need }) => sum + (needByPool(need, machine.unified)[pool] ?? 0),
      own[pool] ?? 0,
    );
    if (taken > budgetBytes) throw new Error(`${at}: ${taken} bytes of ${name}, whose budget is ${budgetBytes}`);
  }
}

function assertKept({ asked }: PlanQuestion, { settings }: Placed, at: string): void {
  for (const [name, value] of Object.entries(asked)) {
    if (value === undefined) continue;
    if (!Bun.deepEquals(settings[name as keyof typeof settings], value)) throw new Error(`${at}: ${name} was changed`);
  }
}

/** With the need that was promised, from the settings that were promised. */
function assertTrue({ subject }: PlanQuestion, { settings, need, totalBytes }: Placed, at: string): void {
  if (!Bun.deepEquals(subject.needOf(settings), need)) throw new Error(`${at}: the need is not that of the settings`);
  const sum = [need.host, ...need.devices].flatMap((parts) => Object.values(parts)).reduce((a, b) => a + b, 0);
  expect(totalBytes, at).toBeCloseTo(sum, 0);
}

const ofKind = <V extends Plan["verdict"]>(verdict: V) =>
  cases.flatMap(({ seed, question, made }) =>
    made.verdict === verdict ? [{ seed, question, made: made as Extract<Plan, { verdict: V }> }] : [],
  );

test("the cases are of every kind", () => {
  for (const verdict of ["fits", "fits-if", "refused"] as const) expect(ofKind(verdict).length).toBeGreaterThan(200);
});

test("what fits is within every budget, with what was asked for, and with the need that it tells", () => {
  for (const { seed, question, made } of ofKind("fits")) {
    assertWithinBudget(question, made.placed, `seed ${seed}`);
    assertKept(question, made.placed, `seed ${seed}`);
    assertTrue(question, made.placed, `seed ${seed}`);
  }
});

test("each option fits with its change, and changes nothing else", () => {
  for (const { seed, question, made } of ofKind("fits-if")) {
    for (const { kind, change, placed } of made.options) {
      const at = `seed ${seed}, ${kind}`;
      const changed = applyChange(question, change);
      assertWithinBudget(changed, placed, at);
      assertKept(changed, placed, at);
      assertTrue(changed, placed, at);
      expect(plan(changed), at).toEqual({ verdict: "fits", placed });
      expect(change.moreBytes, at).toBeNull();
      for (const id of change.evict) {
        expect(question.residents.find((resident) => resident.id === id)?.pinned, at).toBe(false);
      }
      const named = Object.keys(change.asked).length + change.evict.length + (change.model === null ? 0 : 1);
      expect(named, at).toBeGreaterThan(0);
      if (kind !== "combined" && kind !== "evict") expect(named, at).toBe(1);
    }
  }
});

test("a combination has no part that could be left out", () => {
  for (const { seed, question, made } of ofKind("fits-if")) {
    for (const { kind, change } of made.options) {
      if (kind !== "combined") continue;
      for (const name of Object.keys(change.asked)) {
        const rest = Object.fromEntries(Object.entries(change.asked).filter(([key]) => key !== name));
        const without = plan(applyChange(question, { ...change, asked: rest }));
        expect(without.verdict, `seed ${seed}: without ${name}`).not.toBe("fits");
      }
      if (change.model !== null) {
        expect(plan(applyChange(question, { ...change, model: null })).verdict, `seed ${seed}: the file`).not.toBe(
          "fits",
        );
      }
    }
  }
});

test("every refusal names a change with which it fits, and nothing less does", () => {
  for (const { seed, question, made } of ofKind("refused")) {
    const at = `seed ${seed}`;
    const { change } = made;
    expect(plan(applyChange(question, change)).verdict, at).toBe("fits");
    const { host, devices } = change.moreBytes ?? { host: 0, devices: [] };
    // Rounded up to whole bytes, with several devices to whole MiB.
    const step = question.machine.devices.length > 1 ? MIB : 2;
    for (const [pool, bytes] of [host, ...devices].entries()) {
      if (bytes === 0) continue;
      const less = [host, ...devices].map((value, index) => (index === pool ? Math.max(0, value - step) : value));
      const [lessHost = 0, ...lessDevices] = less;
      const changed = { ...change, moreBytes: { host: lessHost, devices: lessDevices } };
      const poorer = plan(applyChange(question, changed));
      if (poorer.verdict === "fits") throw new Error(`${at}: ${bytes} bytes of pool ${pool} are more than is needed`);
    }
    expect(made.reason.length, at).toBeGreaterThan(20);
  }
});

test("more memory never gives a worse plan", () => {
  for (const { seed, question, made } of cases) {
    const random = makeRandom(seed + 1_000_000);
    const machine = growBudgets(question.machine, random(4000) * MIB, random(3) === 0 ? 0 : random(4000) * MIB);
    const richer = plan({ ...question, machine });
    if (comparePlans(richer, made) > 0) {
      throw new Error(`seed ${seed}: with more memory ${richer.verdict} in place of ${made.verdict}`);
    }
  }
});

test("fewer models beside it never give a worse plan", () => {
  for (const { seed, question, made } of cases) {
    const poorer = plan({ ...question, residents: question.residents.slice(1) });
    if (comparePlans(poorer, made) > 0) throw new Error(`seed ${seed}: worse with a model less`);
  }
});

test("without automatic choices a plan has the standard, or does not fit", () => {
  for (const { seed, question, made } of ofKind("fits")) {
    if (question.policy.automatic) continue;
    expect(made.placed.lowered, `seed ${seed}`).toEqual([]);
  }
});
