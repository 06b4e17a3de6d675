// A machine with nothing wrong, and what the test changes of it.

import type { DeviceSnapshot, MachineSnapshot } from "../../src/protocol/machine.ts";
import { makeDevice, makeMachine } from "./machines.ts";

const GIB = 1024 ** 3;

export interface MachineChanges {
  memory?: Partial<MachineSnapshot["memory"]>;
  power?: Partial<MachineSnapshot["power"]>;
  devices?: Partial<DeviceSnapshot>[];
}

/** 16 GiB of memory, of which 8 can be had. Devices have 24 GiB, half of them free; there is none unless one is named. */
export function makePressed({ memory = {}, power = {}, devices = [] }: MachineChanges = {}): MachineSnapshot {
  const calm = makeMachine();
  return {
    ...calm,
    memory: { ...calm.memory, totalBytes: 16 * GIB, availableBytes: 8 * GIB, ...memory },
    power: { ...calm.power, ...power },
    devices: devices.map((changes) =>
      makeDevice({ name: "Test GPU", usedBytes: 12 * GIB, freeBytes: 12 * GIB, temperatureCelsius: null, ...changes }),
    ),
  };
}
