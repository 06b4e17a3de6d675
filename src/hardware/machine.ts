// What the machine has, for whoever asks: one snapshot at a time, shared by all who ask meanwhile, and what was there and
// is gone. The processors are read once.

import type { Clock } from "../lib/clock.ts";
import type { DeviceSnapshot, MachineFault, MachineSnapshot, MachineSource } from "../protocol/machine.ts";
import { type CpuReading, type SnapshotSources, takeSnapshot } from "./snapshot.ts";

interface Pending {
  startedMs: number;
  snapshot: Promise<MachineSnapshot>;
}

export class Machine implements MachineSource {
  readonly #sources: SnapshotSources;
  readonly #clock: Clock;
  readonly #seen = new Map<string, DeviceSnapshot>();
  #cpu: CpuReading | null = null;
  #latest: MachineSnapshot | null = null;
  #takenMs = 0;
  #pending: Pending | null = null;

  constructor(sources: SnapshotSources) {
    this.#sources = sources;
    this.#clock = sources.clock;
  }

  latest(): MachineSnapshot | null {
    return this.#latest;
  }

  async read(ageMsMax: number): Promise<MachineSnapshot> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#latest !== null && nowMs - this.#takenMs <= ageMsMax) return this.#latest;
    // One that is on its way for too long already does not show what has happened since: the next one does.
    if (this.#pending !== null && nowMs - this.#pending.startedMs > Math.max(0, ageMsMax)) await this.#pending.snapshot;
    this.#pending ??= this.#begin();
    return await this.#pending.snapshot;
  }

  #begin(): Pending {
    const startedMs = this.#clock.monotonicMs();
    const snapshot = this.#take(startedMs).finally(() => {
      this.#pending = null;
    });
    return { startedMs, snapshot };
  }

  async #take(startedMs: number): Promise<MachineSnapshot> {
    const snapshot = await takeSnapshot(this.#sources, this.#cpu);
    this.#cpu = { cpu: snapshot.cpu, unknown: keepProcessors(snapshot.unknown) };
    snapshot.faults.push(...this.#findGone(snapshot));
    snapshot.devices.forEach((device, at) => {
      // One that can't be used does not tell who it is.
      if (snapshot.unknown[`devices.${at}`] === undefined) this.#seen.set(device.id, device);
    });
    this.#latest = snapshot;
    this.#takenMs = startedMs;
    return snapshot;
  }

  /** Slices are made and removed by people, and a device that is cut into some is still there. */
  #findGone({ devices, faults }: MachineSnapshot): MachineFault[] {
    // What is wrong then has been said, and explains it.
    if (faults.length > 0) return [];
    const isHere = (seen: DeviceSnapshot): boolean =>
      devices.some(({ id, migParent }) => id === seen.id || migParent === seen.name);
    const gone = [...this.#seen.values()].filter((seen) => seen.migParent === null && !isHere(seen));
    return gone.map(({ id, name }) => ({
      device: name,
      reason: `${name} (${id}) was here and is gone.`,
      fix: "Look at its power, its slot and the kernel's log (dmesg). A restart of the server forgets it.",
    }));
  }
}

function keepProcessors(unknown: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(unknown).filter(([path]) => path.startsWith("cpu.")));
}
