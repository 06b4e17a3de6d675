// The ladder: up quickly, down slowly, in order, never below what serves; over thousands of random machines it does not
// flap, more pressure never means more, and calm always leads back.

import { describe, expect, test } from "bun:test";
import {
  type Adaptable,
  type AdaptationPolicy,
  type AdaptationState,
  adapt,
  CALM_MS,
  LEVEL_MAX,
  limitsAt,
  listLowered,
  listSpared,
  RAISE_MS,
  ROWS_MIN,
  UNLOWERED,
} from "../../../src/router/adaptation/adaptation.ts";
import {
  CAUSES,
  type Cause,
  comparePressures,
  type Judgement,
  judgeMachine,
  PRESSURES,
  type Pressure,
} from "../../../src/router/adaptation/pressure.ts";
import { makePressed } from "../../support/pressed-machines.ts";
import { makeRandom } from "../../support/random.ts";

const POLICY: AdaptationPolicy = {
  autoOptimization: true,
  thermalThrottling: true,
  powerManagement: true,
  lowersExplicit: false,
};
const ENGINE: Adaptable = { batchSize: 512, parallel: 64, retainedMax: 64, explicit: new Set() };

const of = (cause: Cause, pressure: Pressure): Judgement => ({ cause, pressure, reason: `${cause} is ${pressure}` });
const memory = (pressure: Pressure) => [of("memory", pressure)];

/** The levels of a trace, and the state at its end. */
function follow(judgements: readonly (readonly Judgement[])[], everyMs: number, state: AdaptationState = UNLOWERED) {
  const levels: number[] = [];
  let nowMs = 1_000_000;
  for (const now of judgements) {
    nowMs += everyMs;
    state = adapt(state, now, nowMs, POLICY);
    levels.push(state.level);
  }
  return { levels, state };
}

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

describe("the ladder", () => {
  test("high pressure climbs it a level at a time, as quickly as a level shows what it helps", () => {
    expect(follow(times(4, memory("high")), RAISE_MS).levels).toEqual([1, 2, 3, 4]);
    expect(follow(times(6, memory("high")), RAISE_MS / 2).levels).toEqual([1, 1, 2, 2, 3, 3]);
  });

  test("critical pressure goes as far as it helps, at once", () => {
    for (const [cause, level] of [
      ["memory", 6],
      ["device-memory", 4],
      ["heat", 4],
      ["battery", 3],
    ] as const) {
      expect(follow([[of(cause, "critical")]], 1).levels).toEqual([level]);
      expect(follow(times(20, [of(cause, "high")]), RAISE_MS).levels.at(-1)).toBe(level);
    }
  });

  test("between the thresholds all stays as it is", () => {
    const { levels } = follow([memory("high"), ...times(1000, memory("hold"))], RAISE_MS);
    expect(new Set(levels)).toEqual(new Set([1]));
    expect(follow(times(1000, memory("hold")), RAISE_MS).levels.at(-1)).toBe(0);
  });

  test("calm leads down a level a minute, and begins anew with each disturbance", () => {
    const { state } = follow([memory("critical")], 1);
    expect(follow(times(4, memory("calm")), CALM_MS, state).levels).toEqual([6, 5, 4, 3]);
    const disturbed = [memory("calm"), memory("hold"), memory("calm"), memory("calm")];
    expect(follow(disturbed, CALM_MS, state).levels).toEqual([6, 6, 6, 5]);
  });

  test("a cause that would not have gone so far keeps only what it asks for", () => {
    const { state } = follow([memory("critical")], 1);
    const hot = times(20, [of("memory", "calm"), of("heat", "hold")]);
    expect(follow(hot, CALM_MS, state).levels.at(-1)).toBe(4);
  });

  test("it is not climbed when that is switched off", () => {
    const off = { ...POLICY, autoOptimization: false };
    expect(adapt(UNLOWERED, memory("critical"), 1, off)).toEqual(UNLOWERED);
    expect(adapt({ level: 5, raisedMs: 0, calmSinceMs: null }, memory("critical"), 1, off)).toEqual(UNLOWERED);
  });
});

describe("limits", () => {
  const limits = (level: number, engine: Partial<Adaptable> = {}, policy = POLICY) =>
    limitsAt(level, { ...ENGINE, ...engine }, policy);

  test("batch first, then parallelism, then the cache", () => {
    expect([0, 1, 2, 3, 4, 5, 6].map((level) => limits(level))).toEqual([
      { promptRows: 512, places: 64, cacheShare: 1 },
      { promptRows: 128, places: 64, cacheShare: 1 },
      { promptRows: 32, places: 64, cacheShare: 1 },
      { promptRows: 32, places: 8, cacheShare: 1 },
      { promptRows: 32, places: 2, cacheShare: 1 },
      { promptRows: 32, places: 2, cacheShare: 0.5 },
      { promptRows: 32, places: 2, cacheShare: 0 },
    ]);
  });

  test("never below what serves, nor above what there is", () => {
    expect(limits(6, { batchSize: 64, parallel: 1 })).toEqual({ promptRows: ROWS_MIN, places: 1, cacheShare: 0 });
    expect(limits(6, { batchSize: 5, parallel: 3 })).toEqual({ promptRows: 5, places: 1, cacheShare: 0 });
    expect(limits(3, { parallel: 5 }).places).toBe(3);
  });

  test("what was set stays, and is told, unless the policy says otherwise", () => {
    const explicit = new Set(["parallel"] as const);
    expect(limits(6, { explicit })).toEqual({ promptRows: 32, places: 64, cacheShare: 0 });
    expect(listSpared(6, { ...ENGINE, explicit }, POLICY)).toEqual([
      {
        what: "parallel",
        from: 64,
        to: 2,
        words: "Sequences at once stays at 64 because it was set; with --lower-explicit it would be lowered",
      },
    ]);
    const allowing = { ...POLICY, lowersExplicit: true };
    expect(limits(6, { explicit }, allowing).places).toBe(2);
    expect(listSpared(6, { ...ENGINE, explicit }, allowing)).toEqual([]);
    const words = listLowered(6, { ...ENGINE, explicit }, memory("high"), allowing).map((one) => one.words);
    expect(words[1]).toBe("Sequences at once is lowered, though it was set, from 64 to 2: memory is high");
  });

  test("each says from what to what, and why", () => {
    const judgements = [of("memory", "calm"), of("heat", "high"), of("battery", "high")];
    expect(listLowered(3, ENGINE, judgements, POLICY)).toEqual([
      {
        what: "batch",
        from: 512,
        to: 32,
        words: "Prompt rows of a step is lowered from 512 to 32: heat is high; battery is high",
      },
      {
        what: "parallel",
        from: 64,
        to: 8,
        words: "Sequences at once is lowered from 64 to 8: heat is high; battery is high",
      },
    ]);
    expect(listLowered(5, ENGINE, judgements, POLICY)[2]?.words).toEndWith(
      "the cause is over, and it comes back step by step",
    );
    expect(listLowered(0, ENGINE, judgements, POLICY)).toEqual([]);
  });
});

describe("over random machines", () => {
  const RUNS = 3000;
  const LOOKS = 120;
  const EVERY_MS = 3_000;

  const anyPressure = (random: (below: number) => number): Pressure => PRESSURES[random(4)] ?? "calm";
  const anyJudgements = (random: (below: number) => number) => CAUSES.map((cause) => of(cause, anyPressure(random)));

  /** Runs of the same pressure, as machines have them, and short disturbances. */
  function anyTrace(random: (below: number) => number): Judgement[][] {
    const trace: Judgement[][] = [];
    while (trace.length < LOOKS) trace.push(...times(1 + random(random(3) === 0 ? 40 : 3), anyJudgements(random)));
    return trace.slice(0, LOOKS);
  }

  test("going down takes its time: each level has had a minute of calm", () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const trace = anyTrace(makeRandom(seed));
      const { levels } = follow(trace, EVERY_MS);
      let lastDown = Number.NEGATIVE_INFINITY;
      for (let i = 1; i < LOOKS; i++) {
        const [before = 0, after = 0] = [levels[i - 1], levels[i]];
        if (after >= before) continue;
        expect(after).toBe(before - 1);
        expect((i - lastDown) * EVERY_MS).toBeGreaterThanOrEqual(CALM_MS);
        const calm = trace.slice(Math.max(0, i - CALM_MS / EVERY_MS), i + 1);
        for (const judgements of calm) expect(judgements[0]?.pressure).toBe("calm");
        lastDown = i;
      }
    }
  });

  test("a noisy reading does not flap: it goes one way, whatever it is around", () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const random = makeRandom(seed);
      const totalBytes = (1 + random(64)) * 1024 ** 3;
      const middle = (random(1000) / 1000) * 0.3;
      // To both sides less than what lies between the two thresholds of the largest such machine.
      const noise = 0.015;
      const trace = times(400, null).map(() => {
        const share = Math.max(0, middle + ((random(2001) - 1000) / 1000) * noise);
        const machine = makePressed({ memory: { totalBytes, availableBytes: share * totalBytes } });
        return judgeMachine(machine, { devices: [], ownPids: new Set() }, POLICY);
      });
      const { levels } = follow(trace, EVERY_MS);
      expect(levels.toSorted((a, b) => a - b)).toEqual(levels);
    }
  });

  test("more pressure never means more use", () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const random = makeRandom(seed);
      const harder = anyTrace(random);
      const softer = harder.map((judgements) =>
        judgements.map((one) => {
          const other = anyPressure(random);
          return comparePressures(other, one.pressure) < 0 && random(3) === 0 ? { ...one, pressure: other } : one;
        }),
      );
      const [hard, soft] = [follow(harder, EVERY_MS).levels, follow(softer, EVERY_MS).levels];
      expect(hard.filter((level, i) => level < (soft[i] ?? 0))).toEqual([]);
    }
  });

  test("calm always leads back to what was loaded, and no later than a minute a level", () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const random = makeRandom(seed);
      const { state } = follow(anyTrace(random), EVERY_MS);
      const looks = Math.ceil(((state.level + 1) * (CALM_MS + EVERY_MS)) / EVERY_MS);
      const calm = times(
        looks,
        CAUSES.map((cause) => of(cause, "calm")),
      );
      let nowMs = 1_000_000 + LOOKS * EVERY_MS;
      let last = state;
      for (const judgements of calm) {
        nowMs += EVERY_MS;
        last = adapt(last, judgements, nowMs, POLICY);
      }
      expect(last.level).toBe(0);
    }
  });

  test("limits fall with the level, and stay between what serves and what there is", () => {
    for (let seed = 0; seed < RUNS; seed++) {
      const random = makeRandom(seed);
      const engine = { ...ENGINE, batchSize: 1 + random(2048), parallel: 1 + random(255), retainedMax: random(251) };
      let before = limitsAt(0, engine, POLICY);
      expect(before).toEqual({ promptRows: engine.batchSize, places: engine.parallel, cacheShare: 1 });
      for (let level = 1; level <= LEVEL_MAX; level++) {
        const now = limitsAt(level, engine, POLICY);
        expect(now.promptRows).toBeLessThanOrEqual(before.promptRows);
        expect(now.places).toBeLessThanOrEqual(before.places);
        expect(now.cacheShare).toBeLessThanOrEqual(before.cacheShare);
        expect(now.promptRows).toBeGreaterThanOrEqual(Math.min(ROWS_MIN, engine.batchSize));
        expect(now.places).toBeGreaterThanOrEqual(1);
        before = now;
      }
    }
  });
});
