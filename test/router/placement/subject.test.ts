// What of a model's shape the planner asks about beside weights and cells: what comes with requests, and embeddings.

import { describe, expect, test } from "bun:test";
import type { ModelShape } from "../../../src/models/memory/model-shape.ts";
import { NO_REPACKING } from "../../../src/models/memory/repacking.ts";
import type { PlanSettings } from "../../../src/router/placement/plan.ts";
import { describeSubject, type SubjectSources } from "../../../src/router/placement/subject.ts";
import { LOAD } from "../../support/memory-settings.ts";

const SETTINGS: PlanSettings = { ...LOAD, checkpointBytes: 0, draft: false };
const LAYER = {
  keyLength: 128,
  valueLength: 64,
  queryLength: 256,
  heads: 4,
  convolutionLength: 0,
  stateLength: 0,
  innerLength: 0,
  feedForward: 512,
  hasExperts: false,
};
const SHAPE: ModelShape = {
  architecture: "llama",
  layers: [LAYER, LAYER, LAYER],
  headLayers: 1,
  width: 256,
  vocabularySize: 1000,
  mergeCount: 0,
  trainedContextLength: 8192,
  hasWindows: false,
  experts: null,
  isEncoder: false,
  embedsOnly: false,
  splitsInputs: true,
  fusesAttention: true,
  tensors: [],
  tiesOutput: false,
};

function subjectOf(changes: Partial<SubjectSources> = {}) {
  return describeSubject({
    id: "m",
    shape: SHAPE,
    fileBytes: 1000,
    repacking: NO_REPACKING,
    draft: null,
    withHead: false,
    besideBytes: 0,
    savesStates: true,
    others: [],
    ...changes,
  });
}

describe("what comes with requests", () => {
  /** Two layers of 192 numbers in half precision, 256 tokens. */
  const MOVING = 2 * 192 * 2 * 256;
  /** 48 bytes a token for each of two threads. */
  const SAMPLING = 2 * 48 * 1000;

  test("is a state on its way to disk or back, and recurrent ones that are kept", () => {
    expect(subjectOf().useBytes(SETTINGS)).toBe(MOVING + SAMPLING);
    const layers = [{ ...LAYER, stateLength: 100, convolutionLength: 20 }, LAYER, LAYER];
    const recurrent = subjectOf({ shape: { ...SHAPE, layers } });
    const keptOf = (checkpointBytes: number) =>
      recurrent.useBytes({ ...SETTINGS, checkpointBytes }) - recurrent.useBytes(SETTINGS);
    expect(keptOf(77)).toBe(77);
    // There are never more than so many.
    expect(keptOf(1e9)).toBe(256 * 120 * 4);
    expect(subjectOf().useBytes({ ...SETTINGS, kvType: "f32" })).toBe(2 * MOVING + SAMPLING);
    expect(subjectOf({ savesStates: false }).useBytes(SETTINGS)).toBe(SAMPLING);
    expect(subjectOf({ shape: { ...SHAPE, embedsOnly: true } }).useBytes(SETTINGS)).toBe(0);
  });

  test("is in the need, as overhead of the host", () => {
    const overhead = (savesStates: boolean) => subjectOf({ savesStates }).needOf(SETTINGS).host.overheadBytes;
    expect(overhead(true) - overhead(false)).toBe(MOVING);
  });
});

describe("embeddings of a model that generates", () => {
  const computeOf = (changes: Partial<SubjectSources>) =>
    subjectOf(changes).embeddingOf(SETTINGS)?.host.computeBytes ?? 0;

  test("go through micro batches where the last row counts, whoever says so", () => {
    const usual = computeOf({});
    expect(computeOf({ pooling: "last" })).toBe(usual);
    expect(computeOf({ pooling: "mean" })).toBeGreaterThan(3 * usual);
    expect(computeOf({ shape: { ...SHAPE, splitsInputs: false } })).toBeGreaterThan(3 * usual);
    // It is for rankers, and this is none.
    expect(computeOf({ pooling: "rank" })).toBe(usual);
  });

  test("have cells of their own, and no rows of the vocabulary", () => {
    const need = subjectOf().embeddingOf(SETTINGS)?.host;
    expect(need?.kvBytes).toBe(2 * 192 * 2 * 2048);
    const large = subjectOf({ shape: { ...SHAPE, vocabularySize: 1_000_000 } }).embeddingOf(SETTINGS)?.host;
    expect(large).toEqual(need as never);
  });

  test("are all that one that only embeds does, and add nothing", () => {
    expect(subjectOf({ shape: { ...SHAPE, embedsOnly: true } }).embeddingOf(SETTINGS)).toBeNull();
  });
});
