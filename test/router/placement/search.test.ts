// The search passes over most choices without a look. What it finds must be what looking at all of them finds.

import { describe, expect, test } from "bun:test";
import { ChoiceGrid } from "../../../src/router/placement/grid.ts";
import { findLayout, listLayouts } from "../../../src/router/placement/layout.ts";
import type { PlanQuestion, PlanSettings } from "../../../src/router/placement/plan.ts";
import { findShortfalls, leaveRoom, missingBytes } from "../../../src/router/placement/room.ts";
import { findConflict, findLeast, placeModel } from "../../../src/router/placement/search.ts";
import { plan } from "../../../src/router/placement.ts";
import { CONFIG_NAMES, makeConfigSubject } from "../../support/config-shapes.ts";
import { makeRandom } from "../../support/random.ts";
import { GIB, makeMachine, makeQuestion, makeRandomQuestion } from "../../support/random-plans.ts";

const SUBJECTS = [
  ...CONFIG_NAMES.map((name) => makeConfigSubject(name)),
  makeConfigSubject("qwen3-30b-a3b", "llama-1b"),
];

/** A real model's formula on a machine that is about as large as it. */
function makeRealQuestion(seed: number): PlanQuestion {
  const random = makeRandom(seed);
  const pick = <T>(values: readonly T[]): T => values[random(values.length)] as T;
  const subject = pick(SUBJECTS);
  const part = (percentMax: number): number => Math.floor((random(percentMax) / 100) * subject.fileBytes);
  const devices = Array.from({ length: pick([0, 1, 2, 2, 3]) }, () => part(80));
  return makeQuestion({
    subject,
    machine: makeMachine(part(150), devices, devices.length === 1 && random(3) === 0),
    asked: random(3) === 0 ? { contextLength: pick([4096, 20_000, 131_072]) } : {},
    policy: { goal: pick(["balanced", "latency", "throughput", "memory"]), automatic: true },
  });
}

const questions = [
  ...Array.from({ length: 300 }, (_, seed) => makeRandomQuestion(seed)),
  ...Array.from({ length: 80 }, (_, seed) => makeRealQuestion(seed)),
];

/** The first of all cells that fits, and its rank. */
function placePlainly(question: PlanQuestion): { settings: PlanSettings; rank: number } | null {
  if (findConflict(question) !== null) return null;
  const grid = new ChoiceGrid(question);
  const room = leaveRoom(question.machine, question.residents);
  for (const [rank, cell] of [...grid.cells()].entries()) {
    const layout = findLayout(question.subject, grid.choiceAt(cell), question.asked, room);
    if (layout !== null) return { settings: layout.settings, rank };
  }
  return null;
}

function findLeastPlainly(question: PlanQuestion): ReturnType<typeof findLeast> {
  const grid = new ChoiceGrid(question);
  const room = leaveRoom(question.machine, question.residents);
  const all = [...grid.cells()].flatMap((cell) =>
    listLayouts(question.subject, grid.choiceAt(cell), question.asked, room).map(({ need }) => need),
  );
  const sums = all.map((need) => missingBytes(need, room).reduce((sum, bytes) => sum + bytes, 0));
  const least = all[sums.indexOf(Math.min(...sums))];
  if (least === undefined) throw new Error("there is no layout");
  return { short: findShortfalls(least, room), missing: missingBytes(least, room) };
}

describe("the search finds what looking at everything finds", () => {
  test("the first choice that fits", () => {
    let found = 0;
    for (const [at, question] of questions.entries()) {
      const expected = placePlainly(question);
      const placed = placeModel(question);
      found += Number(placed !== null);
      expect([at, placed && { settings: placed.settings, rank: placed.rank }]).toEqual([at, expected]);
    }
    expect(found).toBeGreaterThan(100);
  });

  test("the choice that lacks least", () => {
    const short = questions.filter((question) => findConflict(question) === null && placeModel(question) === null);
    expect(short.length).toBeGreaterThan(60);
    for (const [at, question] of short.entries()) {
      const { short: lacks, missing } = findLeast(question);
      expect([at, { short: lacks, missing }]).toEqual([at, findLeastPlainly(question)]);
    }
  });
});

test("what it relies on: whichever devices have the layers, the host's part and the devices' weights are the same", () => {
  for (const question of questions.filter(({ machine }) => machine.devices.length > 1)) {
    const { subject, machine, asked } = question;
    const grid = new ChoiceGrid({ ...question, asked: { ...asked, deviceShares: undefined } });
    const fixed = (cell: Parameters<typeof grid.choiceAt>[0], deviceShares: number[]) => {
      const { host, devices } = subject.needOf({ ...grid.choiceAt(cell), deviceShares });
      const bytes = devices.reduce((sum, { weightsBytes, mappedBytes, kvBytes }) => {
        return sum + weightsBytes + mappedBytes + kvBytes;
      }, 0);
      return { host, bytes: Math.round(bytes) };
    };
    let before = { host: 0, devices: Number.POSITIVE_INFINITY };
    for (let placement = 0; placement < grid.placements; placement++) {
      const cell = { comfort: 0, placement };
      const count = machine.devices.length;
      const even = fixed(
        cell,
        Array.from({ length: count }, () => 1 / count),
      );
      expect(fixed(cell, [0, 1, ...Array.from({ length: count - 2 }, () => 0)])).toEqual(even);
      const bound = grid.boundAt(cell);
      expect(bound.hostFixedBytes).toBeGreaterThanOrEqual(before.host);
      expect(bound.devicesFixedBytes).toBeLessThanOrEqual(before.devices);
      before = { host: bound.hostFixedBytes, devices: bound.devicesFixedBytes };
    }
  }
});

test("a model of 70B on two small devices asks the formula some thousand times, not some fifty thousand", () => {
  const subject = makeConfigSubject("llama-70b");
  let asked = 0;
  const counted = {
    ...subject,
    needOf: (settings: PlanSettings) => {
      asked += 1;
      return subject.needOf(settings);
    },
  };
  const machine = makeMachine(30 * GIB, [8 * GIB, 6 * GIB]);
  const made = plan(makeQuestion({ subject: counted, machine, asked: { contextLength: 131_072 } }));
  expect(made.verdict).toBe("fits-if");
  expect(asked).toBeLessThan(5000);
});
