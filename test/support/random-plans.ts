// Machines, models and wishes for the planner, from a seed. The models' need is a formula of its own, simple and additive.

import type { KvType, MemoryNeed, MemoryParts } from "../../src/protocol/memory-need.ts";
import { noParts } from "../../src/protocol/memory-need.ts";
import type {
  AskedSettings,
  PlanMachine,
  PlanQuestion,
  PlanSettings,
  PlanSubject,
  Resident,
} from "../../src/router/placement/plan.ts";
import { PLAN_GOALS } from "../../src/router/placement/plan.ts";
import { makeRandom } from "./random.ts";

export const MIB = 1024 * 1024;
export const GIB = 1024 * MIB;

export interface ModelSpec {
  id?: string;
  layers: number;
  expertLayers?: number;
  layerBytes: number;
  /** Of a layer's bytes. */
  expertShare?: number;
  outputBytes?: number;
  kvBytesPerToken?: number;
  /** Of one sequence in one layer. */
  stateBytes?: number;
  isRecurrent?: boolean;
  draftBytes?: number;
  /** What the first embedding adds; absent: nothing. */
  embeddingBytes?: number;
  trainedContextLength?: number;
  others?: PlanSubject[];
}

const KV_BITS: Readonly<Record<KvType, number>> = {
  f32: 32,
  f16: 16,
  bf16: 16,
  q8_0: 8.5,
  q5_1: 6,
  q5_0: 5.5,
  q4_1: 5,
  q4_0: 4.5,
  iq4_nl: 4.5,
};

export function makeSubject(spec: ModelSpec): PlanSubject {
  const { layers, layerBytes, expertLayers = 0, outputBytes = layerBytes, draftBytes = 0, stateBytes = 0 } = spec;
  const fileBytes = layers * layerBytes + outputBytes;
  return {
    id: spec.id ?? "model",
    layers,
    expertLayers,
    trainedContextLength: spec.trainedContextLength ?? 32_768,
    isRecurrent: spec.isRecurrent ?? false,
    hasCheckpoints: stateBytes > 0,
    canGenerate: true,
    hasDraft: draftBytes > 0,
    weightType: "q4_K",
    fileBytes,
    needOf: (settings) => sumModel(spec, settings),
    useBytes: ({ checkpointBytes }) => checkpointBytes,
    embeddingOf: () =>
      spec.embeddingBytes === undefined ? null : { host: { ...noParts(), kvBytes: spec.embeddingBytes }, devices: [] },
    workOf(settings, depth) {
      const need = sumModel(spec, { ...settings, contextLength: Math.max(1, depth) });
      const work = (parts: MemoryParts) => ({
        weightsBytes: parts.weightsBytes + parts.mappedBytes,
        kvBytes: depth === 0 ? 0 : parts.kvBytes,
        flops: 4 * (parts.weightsBytes + parts.mappedBytes),
      });
      return { host: work(need.host), devices: need.devices.map(work) };
    },
    others: spec.others ?? [],
  };
}

function sumModel(spec: ModelSpec, settings: PlanSettings): MemoryNeed {
  const { layers, layerBytes, expertLayers = 0, expertShare = 0.8, outputBytes = layerBytes } = spec;
  const host = noParts();
  const devices = settings.deviceShares.map(noParts);
  const sequences = settings.parallel + settings.retainedMax + 1;
  const kvBytes = ((spec.kvBytesPerToken ?? 0) * settings.contextLength * KV_BITS[settings.kvType]) / 16;
  let sum = 0;
  const bounds = settings.deviceShares.map((share) => (sum += share));
  for (let layer = 0; layer <= layers; layer++) {
    const fromEnd = layers + 1 - layer;
    const onDevice = fromEnd <= settings.gpuLayers;
    const place = (layer - (layers + 1 - settings.gpuLayers) + 0.5) / Math.max(1, settings.gpuLayers);
    const parts = onDevice ? devices[bounds.findIndex((bound) => place <= bound + 1e-9)] : undefined;
    const bytes = layer === layers ? outputBytes : layerBytes;
    const expertBytes = layer < expertLayers && layer < settings.hostExpertLayers ? bytes * expertShare : 0;
    host.mappedBytes += parts === undefined ? bytes : expertBytes;
    if (parts !== undefined) parts.weightsBytes += bytes - expertBytes;
    if (layer < layers) (parts ?? host).kvBytes += kvBytes + (spec.stateBytes ?? 0) * sequences;
  }
  for (const parts of [host, ...devices]) {
    const isUsed = parts === host || parts.weightsBytes > 0;
    if (isUsed) parts.computeBytes += settings.microBatchSize * 64 * 1024;
  }
  host.overheadBytes += 20 * MIB + settings.parallel * 128 * 1024 + settings.checkpointBytes;
  if (settings.draft) host.weightsBytes += spec.draftBytes ?? 0;
  return { host, devices };
}

export function makeMachine(
  hostBytes: number | null,
  deviceBytes: (number | null)[] = [],
  unified = false,
): PlanMachine {
  const rates = (perSecond: number) => ({
    rates: [{ type: "q4_K", bytesPerSecond: perSecond, flopsPerSecond: perSecond * 10 }],
  });
  return {
    host: { name: "main memory", totalBytes: hostBytes, budgetBytes: hostBytes, reason: "for this test" },
    devices: deviceBytes.map((budgetBytes, at) => ({
      name: `CUDA${at}`,
      totalBytes: budgetBytes,
      budgetBytes,
      reason: "for this test",
    })),
    unified,
    cores: 8,
    speed: { host: rates(50e9), devices: deviceBytes.map(() => rates(1e12)), diskBytesPerSecond: 1e9 },
  };
}

export function makeResident(id: string, bytes: number, changes: Partial<Resident> = {}): Resident {
  return {
    id,
    need: { host: { ...noParts(), weightsBytes: bytes }, devices: [] },
    pinned: false,
    busy: false,
    idleSeconds: 10,
    reloadSeconds: 1,
    ...changes,
  };
}

export function makeQuestion(changes: Partial<PlanQuestion> = {}): PlanQuestion {
  return {
    subject: makeSubject({ layers: 4, layerBytes: 100 * MIB, kvBytesPerToken: 2048 }),
    machine: makeMachine(8 * GIB),
    residents: [],
    asked: {},
    policy: { goal: "balanced", automatic: true },
    ...changes,
  };
}

/** The same for the same seed. */
export function makeRandomQuestion(seed: number): PlanQuestion {
  const random = makeRandom(seed);
  const chance = (percent: number): boolean => random(100) < percent;
  const pick = <T>(values: readonly T[]): T => values[random(values.length)] as T;
  const deviceCount = pick([0, 0, 1, 1, 2, 3]);
  const layers = 1 + random(24);
  const spec: ModelSpec = {
    id: `model-${seed}`,
    layers,
    layerBytes: (1 + random(400)) * MIB,
    outputBytes: (1 + random(1000)) * MIB,
    kvBytesPerToken: chance(80) ? 256 * (1 + random(32)) : 0,
    trainedContextLength: pick([512, 2048, 8192, 32_768, 131_072]),
    ...(chance(30) ? { expertLayers: 1 + random(layers) } : {}),
    ...(chance(20) ? { stateBytes: (1 + random(20)) * 64 * 1024, isRecurrent: chance(60) } : {}),
    ...(chance(15) ? { draftBytes: (1 + random(500)) * MIB } : {}),
  };
  const smaller = [0.6, 0.3].filter(() => chance(30));
  const others = smaller.map((share, at) =>
    makeSubject({ ...spec, id: `${spec.id}-q${at}`, layerBytes: Math.ceil(spec.layerBytes * share) }),
  );
  const asked: AskedSettings = {
    ...(chance(30) ? { contextLength: pick([300, 4096, 20_000, 131_072, 1_000_000]) } : {}),
    ...(chance(20) ? { parallel: 1 + random(200) } : {}),
    ...(chance(10) ? { retainedMax: random(50) } : {}),
    ...(chance(10) ? { microBatchSize: pick([16, 64, 512, 2048]) } : {}),
    ...(chance(10) ? { batchSize: pick([2048, 4096]) } : {}),
    ...(chance(15) ? { kvType: pick(["f32", "f16", "q8_0", "q4_0"] as const) } : {}),
    ...(chance(20) ? { gpuLayers: random(layers + 3) } : {}),
    ...(chance(10) ? { hostExpertLayers: random(layers + 2) } : {}),
    ...(chance(10) ? { threads: 1 + random(8) } : {}),
    ...(chance(5) ? { draft: chance(50) } : {}),
    ...(chance(7) ? { deviceShares: pick([[1], [0.5, 0.5], [0.25, 0.5, 0.25]]) } : {}),
  };
  const hostBytes = chance(3) ? null : random(16_384) * MIB;
  const deviceBytes = Array.from({ length: deviceCount }, () => (chance(3) ? null : random(12_288) * MIB));
  const residents = Array.from({ length: pick([0, 0, 1, 2, 4]) }, (_, at) => {
    const host = { ...noParts(), weightsBytes: random(3000) * MIB };
    const devices = deviceBytes.map(() => ({ ...noParts(), weightsBytes: random(2000) * MIB }));
    return makeResident(`resident-${at}`, 0, {
      need: { host, devices },
      pinned: chance(25),
      busy: chance(30),
      idleSeconds: random(1000),
      reloadSeconds: chance(80) ? random(20) : null,
    });
  });
  return {
    subject: makeSubject({ ...spec, others }),
    machine: makeMachine(hostBytes, deviceBytes, deviceCount === 1 && chance(30)),
    residents,
    asked,
    policy: { goal: pick(PLAN_GOALS), automatic: chance(90) },
  };
}

/** As much more, of one pool or of all. */
export function growBudgets(
  { host, devices, ...machine }: PlanMachine,
  hostBytes: number,
  deviceBytes: number,
): PlanMachine {
  const grow = (pool: PlanMachine["host"], bytes: number) => ({
    ...pool,
    budgetBytes: pool.budgetBytes === null ? null : pool.budgetBytes + bytes,
  });
  return { ...machine, host: grow(host, hostBytes), devices: devices.map((pool) => grow(pool, deviceBytes)) };
}
