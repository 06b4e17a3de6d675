// What a machine's readings mean for an engine: which of them press, and how hard. Pure: a snapshot in, judgements out. A
// figure that is not known presses nobody.

import type { DeviceSnapshot, MachineSnapshot } from "../../protocol/machine.ts";

/** `device-memory`: of a GPU, which others use too. */
export const CAUSES = ["memory", "device-memory", "heat", "battery"] as const;
export type Cause = (typeof CAUSES)[number];

/**
 * `calm`: nothing is wrong, and what was lowered for it may come back. `hold`: between the thresholds, so all stays as it is.
 * `high`: more is to be lowered. `critical`: all that helps, at once.
 */
export const PRESSURES = ["calm", "hold", "high", "critical"] as const;
export type Pressure = (typeof PRESSURES)[number];

export interface Judgement {
  cause: Cause;
  pressure: Pressure;
  /** The figure that says so. */
  reason: string;
}

/** Of the three switches in the settings those that are about causes. */
export interface CausePolicy {
  thermalThrottling: boolean;
  powerManagement: boolean;
}

/** What an engine computes on, and who belongs to us. */
export interface Exposure {
  /** As ggml names them, such as `CUDA0`. */
  devices: readonly string[];
  /** Processes of ours, whose memory on a device is in the plan. */
  ownPids: ReadonlySet<number>;
}

interface Thresholds {
  /** Below: `calm` no more. */
  calm: Threshold;
  high: Threshold;
  critical: Threshold;
}

/** A share of all, or so many bytes where that is less: a tenth of a large machine is no pressure. */
interface Threshold {
  share: number;
  bytes: number;
}

const MIB = 1024 ** 2;

/** The system starts to drop mapped weights at some percent; what comes in must find twice that, or it would come and go. */
const HOST: Thresholds = {
  calm: { share: 0.2, bytes: 4096 * MIB },
  high: { share: 0.1, bytes: 2048 * MIB },
  critical: { share: 0.04, bytes: 768 * MIB },
};

/** A device swaps nothing: less than a step's buffers, and the next one fails. These have some hundred MiB. */
const DEVICE: Thresholds = {
  calm: { share: 0.08, bytes: 1024 * MIB },
  high: { share: 0.04, bytes: 512 * MIB },
  critical: { share: 0.015, bytes: 192 * MIB },
};

/** A desktop's windows take some percent of a device. Who has less is not what fills it. */
const OTHERS_SHARE_MIN = 0.05;

/** One judgement for each cause that the policy lets count, in the order of `CAUSES`. */
export function judgeMachine(machine: MachineSnapshot, exposure: Exposure, policy: CausePolicy): Judgement[] {
  const devices = machine.devices.filter(({ kind }) => exposure.devices.some((name) => isOfKind(name, kind)));
  const judgements = [
    judgeMemory(machine),
    // What processor and GPU share is judged once.
    machine.memory.unified ? calmAbout("device-memory") : worstOf(devices.map((one) => judgeDevice(one, exposure))),
    policy.thermalThrottling ? judgeHeat(machine, devices) : calmAbout("heat"),
    policy.powerManagement ? judgePower(machine) : calmAbout("battery"),
  ];
  return judgements.map((judgement, i) => judgement ?? calmAbout(CAUSES[i] ?? "memory"));
}

/** The harder one of two. */
export function comparePressures(a: Pressure, b: Pressure): number {
  return PRESSURES.indexOf(a) - PRESSURES.indexOf(b);
}

function judgeMemory({ memory }: MachineSnapshot): Judgement {
  const { totalBytes, availableBytes, pressure, limitedBy } = memory;
  const told: Judgement = {
    cause: "memory",
    pressure: pressure === "critical" ? "critical" : pressure === "warning" ? "high" : "calm",
    reason: `the system calls its memory pressure ${pressure ?? "unknown"}`,
  };
  if (totalBytes === null || availableBytes === null || totalBytes <= 0) return told;
  const where = limitedBy === null ? "" : ` of ${limitedBy}`;
  const counted: Judgement = {
    cause: "memory",
    pressure: compareWith(HOST, availableBytes, totalBytes),
    reason: `${sayBytes(availableBytes)} of ${sayBytes(totalBytes)} memory${where} can be had`,
  };
  return comparePressures(told.pressure, counted.pressure) > 0 ? told : counted;
}

function judgeDevice({ name, totalBytes, freeBytes, processes }: DeviceSnapshot, { ownPids }: Exposure): Judgement {
  if (totalBytes === null || freeBytes === null || totalBytes <= 0) return calmAbout("device-memory");
  const others = (processes ?? []).filter(({ pid }) => !ownPids.has(pid));
  const othersBytes = others.reduce((sum, { usedBytes }) => sum + (usedBytes ?? 0), 0);
  const areCounted = processes?.every(({ usedBytes }) => usedBytes !== null) ?? false;
  // What we fill ourselves is as it was planned.
  if (areCounted && othersBytes < totalBytes * OTHERS_SHARE_MIN) return calmAbout("device-memory");
  const taken = areCounted ? `, and other processes have ${sayBytes(othersBytes)}` : "";
  return {
    cause: "device-memory",
    pressure: compareWith(DEVICE, freeBytes, totalBytes),
    reason: `${sayBytes(freeBytes)} of ${sayBytes(totalBytes)} of ${name} are free${taken}`,
  };
}

/** A power cap is how most devices run all day: only heat counts. */
function judgeHeat({ power }: MachineSnapshot, devices: readonly DeviceSnapshot[]): Judgement {
  const hot = devices.find(
    ({ throttleReasons }) => throttleReasons?.some((reason) => /thermal/i.test(reason)) === true,
  );
  const slowed: Judgement = {
    cause: "heat",
    pressure: hot === undefined ? "calm" : "high",
    reason: `${hot?.name ?? ""} runs slower because it is hot${sayDegrees(hot?.temperatureCelsius ?? null)}`,
  };
  const { thermalState } = power;
  const state: Judgement = {
    cause: "heat",
    pressure: HEAT[thermalState ?? "nominal"],
    reason: `the system calls its thermal state ${thermalState ?? "unknown"}`,
  };
  return comparePressures(slowed.pressure, state.pressure) > 0 ? slowed : state;
}

const HEAT: Record<NonNullable<MachineSnapshot["power"]["thermalState"]>, Pressure> = {
  nominal: "calm",
  fair: "hold",
  serious: "high",
  critical: "critical",
};

function judgePower({ power }: MachineSnapshot): Judgement {
  const pressure = power.source === "battery" ? "high" : "calm";
  return { cause: "battery", pressure, reason: `the machine runs on ${power.source ?? "an unknown source"}` };
}

function calmAbout(cause: Cause): Judgement {
  return { cause, pressure: "calm", reason: "nothing is known to be wrong" };
}

function worstOf(judgements: readonly Judgement[]): Judgement | null {
  return judgements.toSorted((a, b) => comparePressures(b.pressure, a.pressure))[0] ?? null;
}

function compareWith({ calm, high, critical }: Thresholds, leftBytes: number, totalBytes: number): Pressure {
  const isBelow = ({ share, bytes }: Threshold): boolean => leftBytes < Math.min(totalBytes * share, bytes);
  return isBelow(critical) ? "critical" : isBelow(high) ? "high" : isBelow(calm) ? "hold" : "calm";
}

/** ggml numbers the devices of a back end: `CUDA0`, `Vulkan1`; Apple's is `MTL0`, or `Metal` in older ones. */
function isOfKind(name: string, kind: DeviceSnapshot["kind"]): boolean {
  const lower = name.toLowerCase();
  if (kind === "metal") return lower.startsWith("mtl") || lower.startsWith("metal");
  return kind === "other" ? lower !== "cpu" : lower.startsWith(kind);
}

function sayBytes(bytes: number): string {
  return bytes < 1024 * MIB ? `${Math.round(bytes / MIB)} MiB` : `${(bytes / 1024 / MIB).toFixed(1)} GiB`;
}

function sayDegrees(degrees: number | null): string {
  return degrees === null ? "" : ` (${Math.round(degrees)} °C)`;
}
