// `requirements` of a model file: what a machine must have. Names are those that such files use elsewhere; what can't be judged
// here is said to be unknown, and what is not known at all is without effect. Pure.

import { isRecord } from "../../lib/is-record.ts";
import type { BackendName } from "../../protocol/backends.ts";
import { readBackends } from "./hints.ts";
import { GB, gigabytes, type HardwareNote, type MachineFacts } from "./machine.ts";

export interface Required {
  notes: HardwareNote[];
  /** The only ones that will do; null: any. */
  backends: BackendName[] | null;
  withoutEffect: string[];
}

const KEY = "requirements";
const RECOMMENDED = /^recommended_/;
const MEMORY = /^(min_|minimum_|recommended_)?(memory|ram|system_memory)_gb$/;
const DEVICE_MEMORY = /^(min_|minimum_|recommended_)?(vram|gpu_memory)_gb$/;
const CORES = /^(min_|minimum_|recommended_)?(cpu_)?cores$/;
const BACKENDS = /^(compute|backend|backends|device)$/;

export function judgeRequirements(requirements: unknown, machine: MachineFacts): Required {
  const result: Required = { notes: [], backends: null, withoutEffect: [] };
  if (requirements === undefined) return result;
  if (!isRecord(requirements)) return { ...result, withoutEffect: [KEY] };
  for (const [name, value] of Object.entries(requirements)) {
    const key = `${KEY}.${name}`;
    const backends = BACKENDS.test(name) ? readBackends(value) : null;
    if (backends !== null) {
      // Any will do.
      if (backends.length > 0) result.backends = backends;
      result.notes.push({ key, outcome: "met", reason: backends.length === 0 ? "any" : `only ${backends.join(", ")}` });
      continue;
    }
    const note = typeof value === "number" && value >= 0 ? judgeAmount(name, value, machine) : null;
    if (note === null) result.withoutEffect.push(key);
    else result.notes.push({ key, ...note });
  }
  return result;
}

function judgeAmount(name: string, wanted: number, machine: MachineFacts): Omit<HardwareNote, "key"> | null {
  if (CORES.test(name)) return compare(name, wanted, machine.cpu.usableCores, (cores) => `${cores} cores`);
  const has = MEMORY.test(name)
    ? machine.memory.totalBytes
    : DEVICE_MEMORY.test(name)
      ? deviceBytes(machine)
      : undefined;
  if (has === undefined) return null;
  const of = MEMORY.test(name) ? "of memory" : "of device memory";
  return compare(name, wanted * GB, has, (bytes) => `${gigabytes(bytes)} ${of}`);
}

function compare(
  name: string,
  wanted: number,
  has: number | null,
  tell: (amount: number) => string,
): Omit<HardwareNote, "key"> {
  if (has === null) return { outcome: "unknown", reason: `${tell(wanted)} are asked for; what is here is not known` };
  const reason = `${tell(wanted)} are asked for, and ${tell(has)} are here`;
  if (has >= wanted) return { outcome: "met", reason };
  return { outcome: RECOMMENDED.test(name) ? "below" : "unmet", reason };
}

/** Of all devices together: a model's layers are spread over them. Null: not known. */
function deviceBytes({ memory, devices }: MachineFacts): number | null {
  if (memory.unified) return memory.totalBytes;
  if (devices === null || devices.some(({ totalBytes }) => totalBytes === null)) return null;
  return devices.reduce((sum, { totalBytes }) => sum + (totalBytes ?? 0), 0);
}
