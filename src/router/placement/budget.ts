// How much of a machine's memory models may take: what was read, and the policy, which is settings and never a constant in a
// formula. Pure. What could not be read limits nothing, and the reason says so.

import { formatBytes } from "../../lib/byte-count.ts";
import type { DeviceSnapshot, MachineSnapshot, MemorySnapshot } from "../../protocol/machine.ts";
import type { DeviceRates, MachineRates } from "../../protocol/machine-rates.ts";
import type { PlanMachine, PlanPool, Resident } from "./plan.ts";
import { sumNeed, sumParts } from "./room.ts";

export interface BudgetPolicy {
  /** Of all memory, for models; null: 0.6 of what a device shares, else 0.75. */
  memoryShare: number | null;
  /** Of all memory, kept free of models even when it is free now: the server itself, its requests, and what else starts. */
  baseShare: number;
  /** Of what is free, for models even where that is less than the base: small ones load on a full machine too. */
  freeShare: number;
  /** Of a device's memory, for models; the rest is for its driver, its screen, and what is not counted. */
  deviceShare: number;
  /** In place of all that for main memory, or for memory that is shared with devices; null: none. */
  memoryBudgetBytes: number | null;
  /** Budgets follow memory pressure. */
  automatic: boolean;
  /** Fewer threads while the processor is too hot to use them all. */
  thermalThrottling: boolean;
  /** Fewer threads on battery. */
  powerManagement: boolean;
}

export const DEFAULT_BUDGET_POLICY: BudgetPolicy = {
  memoryShare: null,
  baseShare: 0.1,
  freeShare: 0.5,
  deviceShare: 0.9,
  memoryBudgetBytes: null,
  automatic: true,
  thermalThrottling: true,
  powerManagement: true,
};

/** What was lowered below what the policy would give, and why. */
export interface Restraint {
  what: "memory" | "threads";
  from: number;
  to: number;
  reason: string;
}

export interface Budget {
  machine: PlanMachine;
  restraints: readonly Restraint[];
}

/** Where a device takes from the same memory: 60 % for models, 10 % the base, 30 % left to the system. */
const UNIFIED_SHARE = 0.6;
const SEPARATE_SHARE = 0.75;
/** Under pressure the system swaps or kills soon: models must leave it something to recover with. */
const PRESSURE_SHARES = { normal: 1, warning: 0.85, critical: 0.6 } as const;
/** Half of the cores draw well over half of the speed, since decoding waits for memory. */
const RESTRAINED_THREADS = 0.5;

export function describeBudget(
  snapshot: MachineSnapshot,
  policy: BudgetPolicy,
  residents: readonly Resident[] = [],
  rates: MachineRates | null = null,
): Budget {
  const restraints: Restraint[] = [];
  const devices = listComputing(rates);
  const unified = snapshot.memory.unified && devices.length > 0;
  const host = limitHost(snapshot.memory, policy, residents, restraints);
  const cores = chooseThreads(snapshot, policy, restraints);
  const pools = devices.map((rated, at) => {
    const device = findDevice(snapshot.devices, devices, at);
    return unified ? limitShared(rated, device, host) : limitDevice(rated, device, policy, residents, at);
  });
  const processor = rates?.devices.find(({ kind }) => kind === "cpu");
  return {
    machine: {
      host,
      devices: pools,
      unified,
      cores,
      speed:
        rates === null || processor === undefined
          ? null
          : { host: processor, devices, diskBytesPerSecond: rates.diskBytesPerSecond },
    },
    restraints,
  };
}

/** What ggml computes on besides the processor: a device that only the probe sees is of no use to an engine. */
function listComputing(rates: MachineRates | null): DeviceRates[] {
  return (rates?.devices ?? []).filter(({ kind }) => kind === "gpu" || kind === "integrated-gpu");
}

function limitHost(
  memory: MemorySnapshot,
  policy: BudgetPolicy,
  residents: readonly Resident[],
  restraints: Restraint[],
): PlanPool {
  const { totalBytes, availableBytes, unified, pressure } = memory;
  const pool = { name: unified ? "unified memory" : "main memory", totalBytes };
  if (policy.memoryBudgetBytes !== null) {
    return { ...pool, budgetBytes: policy.memoryBudgetBytes, reason: "as --memory-budget says" };
  }
  if (totalBytes === null) return { ...pool, budgetBytes: null, reason: "how much there is could not be read" };
  const share = policy.memoryShare ?? (unified ? UNIFIED_SHARE : SEPARATE_SHARE);
  const byShare = totalBytes * share;
  // What models hold already is not free, and theirs all the same; mapped pages count as free.
  const owned = residents.reduce(
    (sum, { need }) => sum + (unified ? sumNeed(need) : sumParts(need.host)) - need.host.mappedBytes,
    0,
  );
  const keptBytes = keepFree(totalBytes, availableBytes ?? 0, policy);
  const byFree = availableBytes === null ? byShare : availableBytes + owned - keptBytes;
  const whole = Math.max(0, Math.floor(Math.min(byShare, byFree)));
  const eased = policy.automatic ? Math.floor(whole * PRESSURE_SHARES[pressure ?? "normal"]) : whole;
  if (eased < whole) {
    restraints.push({
      what: "memory",
      from: whole,
      to: eased,
      reason: `the system reports memory pressure: ${pressure}`,
    });
  }
  const limit = memory.limitedBy === null ? "" : ` of ${memory.limitedBy}`;
  const kept =
    keptBytes < totalBytes * policy.baseShare
      ? `${percent(1 - policy.freeShare)} of that, since it is little of ${formatBytes(totalBytes)}${limit},`
      : `${percent(policy.baseShare)} of ${formatBytes(totalBytes)}${limit}`;
  const reason =
    byFree < byShare
      ? `${formatBytes(availableBytes ?? 0)} are free, and ${kept} stay free`
      : `${percent(share)} of ${formatBytes(totalBytes)}${limit}`;
  return { ...pool, budgetBytes: eased, reason: eased < whole ? `${reason}, less because of memory pressure` : reason };
}

/** The base, and on a machine that is nearly full a part of what is left: more that is free never leaves less for models. */
function keepFree(totalBytes: number, availableBytes: number, { baseShare, freeShare }: BudgetPolicy): number {
  return Math.min(totalBytes * baseShare, Math.max(0, availableBytes) * (1 - freeShare));
}

function limitDevice(
  rated: DeviceRates,
  device: DeviceSnapshot | undefined,
  policy: BudgetPolicy,
  residents: readonly Resident[],
  at: number,
): PlanPool {
  const totalBytes = device?.totalBytes ?? rated.totalBytes;
  const pool = { name: rated.name, totalBytes };
  if (totalBytes === null) return { ...pool, budgetBytes: null, reason: "how much there is could not be read" };
  const freeBytes = device?.freeBytes ?? null;
  const keptBytes = totalBytes * (1 - policy.deviceShare);
  if (freeBytes === null) {
    const reason = `${percent(policy.deviceShare)} of ${formatBytes(totalBytes)}; how much is free could not be read`;
    return { ...pool, budgetBytes: Math.floor(totalBytes - keptBytes), reason };
  }
  const owned = residents.reduce(
    (sum, { need }) => sum + (need.devices[at] === undefined ? 0 : sumParts(need.devices[at])),
    0,
  );
  const reason = `${formatBytes(freeBytes)} are free, and ${percent(1 - policy.deviceShare)} of ${formatBytes(totalBytes)} stay free`;
  return { ...pool, budgetBytes: Math.max(0, Math.floor(freeBytes + owned - keptBytes)), reason };
}

/** Never over what Metal advises: beyond that it moves memory about, or fails. */
function limitShared(rated: DeviceRates, device: DeviceSnapshot | undefined, host: PlanPool): PlanPool {
  const advised = device?.recommendedWorkingSetBytes ?? rated.totalBytes;
  const budgetBytes = advised === null ? host.budgetBytes : Math.min(advised, host.budgetBytes ?? advised);
  const reason = advised !== null && advised === budgetBytes ? "what the system advises for the device" : host.reason;
  return { name: rated.name, totalBytes: host.totalBytes, budgetBytes, reason };
}

/** ggml numbers the devices of a kind (`CUDA1`) as their drivers list them. */
function findDevice(
  found: readonly DeviceSnapshot[],
  computing: readonly DeviceRates[],
  at: number,
): DeviceSnapshot | undefined {
  const kind = kindOf(computing[at]?.name ?? "");
  const before = computing.slice(0, at).filter(({ name }) => kindOf(name) === kind).length;
  return found.filter((device) => device.kind === kind)[before];
}

function kindOf(name: string): string {
  const word = name.toLowerCase().replace(/[\d:]+$/, "");
  return word === "mtl" ? "metal" : word;
}

function chooseThreads({ cpu, power }: MachineSnapshot, policy: BudgetPolicy, restraints: Restraint[]): number {
  const cores = Math.max(1, Math.floor(cpu.usableCores));
  const fewer = Math.min(cores, Math.max(1, Math.ceil(cores * RESTRAINED_THREADS)));
  const isHot = power.thermalState === "serious" || power.thermalState === "critical";
  const reason =
    policy.thermalThrottling && isHot
      ? `the machine reports heat: ${power.thermalState}`
      : policy.powerManagement && power.source === "battery"
        ? "the machine runs on battery"
        : null;
  if (reason === null || fewer === cores) return cores;
  restraints.push({ what: "threads", from: cores, to: fewer, reason });
  return fewer;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
