// A snapshot of the machine for people. Pure.

import type { DeviceSnapshot, MachineSnapshot } from "../../protocol/machine.ts";

const GIB = 1024 ** 3;

/** One line a part; what is not known is left out. */
export function renderMachine(snapshot: MachineSnapshot): string {
  const rows: [string, (string | null)[]][] = [
    ["Processor", describeCpu(snapshot)],
    ["Memory", describeMemory(snapshot)],
    ["Disk", describeDisk(snapshot)],
    ["Power", [snapshot.power.source, prefix("thermal state ", snapshot.power.thermalState)]],
    ["Driver", [snapshot.driver]],
    ...snapshot.devices.map((device, at): [string, (string | null)[]] => [`GPU ${at}`, describeDevice(device)]),
  ];
  if (snapshot.devices.length === 0) rows.push(["GPU", [`none: ${snapshot.unknown.devices ?? "none is told of"}`]]);
  for (const { reason, fix } of snapshot.faults) rows.push(["Trouble", [`${reason} ${fix}`]]);
  const known = rows.map(([title, parts]) => [title, parts.filter((part) => part !== null)] as const);
  const lines = known
    .filter(([, parts]) => parts.length > 0)
    .map(([title, parts]) => title.padEnd(11) + parts.join(", "));
  return `${lines.join("\n")}\n`;
}

function describeCpu({ cpu }: MachineSnapshot): (string | null)[] {
  const { performanceCores, efficiencyCores } = cpu;
  const kinds =
    performanceCores === null || efficiencyCores === null
      ? null
      : `${performanceCores} performance and ${efficiencyCores} efficiency cores`;
  return [
    cpu.model,
    `${cpu.usableCores} usable`,
    prefix("cores ", cpu.physicalCores),
    kinds,
    cpu.numaNodes !== null && cpu.numaNodes > 1 ? `${cpu.numaNodes} NUMA nodes` : null,
  ];
}

function describeMemory({ memory }: MachineSnapshot): (string | null)[] {
  const swap = memory.swapTotalBytes === 0 ? "no swap" : prefix("swap ", inGib(memory.swapTotalBytes));
  return [
    inGib(memory.totalBytes),
    suffix(inGib(memory.availableBytes), " available"),
    swap,
    memory.unified ? "shared with the GPU" : null,
    prefix("limited by ", memory.limitedBy),
    prefix("pressure ", memory.pressure),
  ];
}

function describeDisk({ disk }: MachineSnapshot): (string | null)[] {
  const free = inGib(disk.freeBytes);
  return free === null ? [] : [`${free} free of ${inGib(disk.totalBytes) ?? "?"}`, disk.path];
}

function describeDevice(device: DeviceSnapshot): (string | null)[] {
  const { utilization, powerWatts, powerLimitWatts, throttleReasons, pcie } = device;
  const watts = powerWatts === null ? null : `${powerWatts.toFixed(0)} W`;
  return [
    device.name,
    prefix("slice of ", device.migParent),
    inGib(device.totalBytes),
    suffix(inGib(device.usedBytes), " used"),
    prefix("compute capability ", device.computeCapability),
    suffix(device.temperatureCelsius, " °C"),
    watts === null || powerLimitWatts === null ? watts : `${watts} of ${powerLimitWatts.toFixed(0)}`,
    utilization.compute === null ? null : `${Math.round(utilization.compute * 100)} % busy`,
    throttleReasons === null || throttleReasons.length === 0 ? null : `slowed down by ${throttleReasons.join(" and ")}`,
    pcie === null ? null : `PCIe ${pcie.generation ?? "?"} x${pcie.width ?? "?"}`,
  ];
}

function inGib(bytes: number | null): string | null {
  return bytes === null ? null : `${(bytes / GIB).toFixed(1)} GiB`;
}

function prefix(text: string, value: string | number | null): string | null {
  return value === null ? null : `${text}${value}`;
}

function suffix(value: string | number | null, text: string): string | null {
  return value === null ? null : `${value}${text}`;
}
