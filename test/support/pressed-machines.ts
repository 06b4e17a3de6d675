// A machine's readings as tests of pressure like to have them: nothing wrong, and what the test changes.

import type { DeviceSnapshot, MachineSnapshot } from "../../src/protocol/machine.ts";
import { makeMachine as makeAny, makeDevice } from "./machines.ts";

const GIB = 1024 ** 3;

export interface MachineChanges {
  memory?: Partial<MachineSnapshot["memory"]>;
  power?: Partial<MachineSnapshot["power"]>;
  devices?: Partial<DeviceSnapshot>[];
}

/** 16 GiB of memory, of which 8 can be had; no device unless one is named, of 24 GiB, half of them free. */
export function makeMachine({ memory = {}, power = {}, devices = [] }: MachineChanges = {}): MachineSnapshot {
  const any = makeAny();
  const half = { usedBytes: 12 * GIB, freeBytes: 12 * GIB };
  return makeAny({
    takenAt: 0,
    memory: { ...any.memory, totalBytes: 16 * GIB, availableBytes: 8 * GIB, ...memory },
    power: { ...any.power, ...power },
    devices: devices.map((device) => makeDevice({ ...half, id: "cuda:0", name: "Test GPU", ...device })),
  });
}
