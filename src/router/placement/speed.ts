// What a placed model is expected to do: bytes that a token reads against the measured rates, a prompt's arithmetic against the
// measured arithmetic, a file's bytes against the disk. Pure. Predictions for one stream that is alone; without a measurement null.

import type { MemoryNeed } from "../../protocol/memory-need.ts";
import type {
  PlaceWork,
  PlanMachine,
  PlanSettings,
  PlanSubject,
  PoolSpeed,
  PredictedSpeed,
  TokenWork,
} from "./plan.ts";
import { sumParts } from "./room.ts";

/** Of reading pages that are in memory already, and of writing what is not mapped: as a share of reading weights. */
const COPY_SHARE = 0.5;
/** Starting an engine, its vocabulary and its first graph (test/bench/predicted.ts). */
const START_SECONDS = 0.15;
/** A step's fixed part and its sampling, which tiny models consist of. */
const STEP_SECONDS = 0.0005;
/**
 * What a layer costs a step besides its weights: its small operations, after each of which threads wait for each other. As seen
 * with two threads (test/bench/predicted.ts); of a GPU, which starts a dozen kernels for it, a guess.
 */
const HOST_LAYER_SECONDS = 0.0002;
const DEVICE_LAYER_SECONDS = 0.00005;

export function predictSpeed(
  subject: PlanSubject,
  machine: PlanMachine,
  settings: PlanSettings,
  need: MemoryNeed,
): PredictedSpeed {
  return {
    tokensPerSecond: predictTokens(subject, machine, settings, 0),
    fullTokensPerSecond: predictTokens(subject, machine, settings, settings.contextLength - 1),
    promptTokensPerSecond: predictPrompt(subject, machine, settings),
    ...predictLoad(subject, machine, need),
  };
}

function predictTokens(
  subject: PlanSubject,
  machine: PlanMachine,
  settings: PlanSettings,
  depth: number,
): number | null {
  if (!subject.canGenerate) return null;
  const work = machine.speed === null ? null : subject.workOf(settings, depth);
  return work === null
    ? null
    : tokensPerSecondOf(work, machine, subject.weightType, countLayerSeconds(subject, settings));
}

function countLayerSeconds({ layers }: PlanSubject, { gpuLayers }: PlanSettings): number {
  const onDevices = Math.min(layers, Math.max(0, gpuLayers));
  return onDevices * DEVICE_LAYER_SECONDS + (layers - onDevices) * HOST_LAYER_SECONDS;
}

/** Of one stream whose tokens do this work; null: nothing was measured. `layerSeconds`: besides it; of a file of which only its
 * size is known nothing. */
export function tokensPerSecondOf(
  work: TokenWork,
  machine: PlanMachine,
  type: string | null,
  layerSeconds = 0,
): number | null {
  const places = joinPlaces(work, machine);
  if (places === null) return null;
  const seconds = places.map(
    ({ work, speed }) => secondsOf(work.weightsBytes, rateOf(speed, type)?.bytesPerSecond) + readKv(work, speed),
  );
  return toRate(seconds.reduce((sum, part) => sum + part, STEP_SECONDS + layerSeconds));
}

/** A micro batch in the middle of a prompt that is one of them long: where arithmetic or reading the weights takes longer. */
function predictPrompt(subject: PlanSubject, machine: PlanMachine, settings: PlanSettings): number | null {
  const rows = settings.microBatchSize;
  const work = machine.speed === null ? null : subject.workOf(settings, Math.floor(rows / 2));
  const places = work === null ? null : joinPlaces(work, machine);
  if (places === null) return null;
  const seconds = places.map(({ work, speed }) => {
    const rate = rateOf(speed, subject.weightType);
    return Math.max(
      secondsOf(work.flops, rate?.flopsPerSecond),
      secondsOf(work.weightsBytes / rows, rate?.bytesPerSecond),
    );
  });
  return toRate(seconds.reduce((sum, part) => sum + part, STEP_SECONDS / rows));
}

interface Place {
  work: PlaceWork;
  speed: PoolSpeed;
}

function joinPlaces(work: TokenWork, { speed }: PlanMachine): Place[] | null {
  if (speed === null) return null;
  const places = [{ work: work.host, speed: speed.host }];
  for (const [at, part] of work.devices.entries()) {
    const device = speed.devices[at];
    if (device !== undefined) places.push({ work: part, speed: device });
  }
  return places;
}

/** That of the type, else of the nearest in size among those that were measured. */
function rateOf({ rates }: PoolSpeed, type: string | null): PoolSpeed["rates"][number] | undefined {
  const family = type === null ? "q4_K" : /^(f32|f16|bf16)$/i.test(type) ? "f16" : /^q8/i.test(type) ? "q8_0" : "q4_K";
  return rates.find((rate) => rate.type === family) ?? rates[0];
}

function readKv({ kvBytes }: PlaceWork, speed: PoolSpeed): number {
  return secondsOf(kvBytes, rateOf(speed, "f16")?.bytesPerSecond);
}

/** Nothing takes no time, also where no rate is known. */
function secondsOf(amount: number, perSecond: number | undefined): number {
  if (amount === 0) return 0;
  return perSecond === undefined ? Number.POSITIVE_INFINITY : amount / perSecond;
}

function toRate(seconds: number): number | null {
  return Number.isFinite(seconds) && seconds > 0 ? 1 / seconds : null;
}

function predictLoad(
  { fileBytes }: PlanSubject,
  { speed }: PlanMachine,
  need: MemoryNeed,
): Pick<PredictedSpeed, "loadSeconds" | "cachedLoadSeconds"> {
  const memoryRate = speed === null ? undefined : rateOf(speed.host, "f16")?.bytesPerSecond;
  if (speed === null || memoryRate === undefined) return { loadSeconds: null, cachedLoadSeconds: null };
  const written =
    need.devices.reduce((sum, parts) => sum + parts.weightsBytes, 0) + sumParts(need.host) - need.host.mappedBytes;
  const cachedLoadSeconds = START_SECONDS + (written + fileBytes) / (memoryRate * COPY_SHARE);
  const disk = speed.diskBytesPerSecond;
  return { cachedLoadSeconds, loadSeconds: disk === null ? null : cachedLoadSeconds + fileBytes / disk };
}
