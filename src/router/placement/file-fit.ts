// Whether a file of which only the size is known would fit, and how fast it would be at most: for lists of what could be
// downloaded or converted. Pure. Whatever is on the disk has a real plan.

import type { PlanMachine } from "./plan.ts";
import { tokensPerSecondOf } from "./speed.ts";

/** Keys, values and compute buffers of common models with a decent context, over the bytes of their weights. */
const NEED_SHARE = 1.12;
/** An engine without weights. */
const NEED_BYTES = 128 * 1024 * 1024;

/** The largest file that fits; null: not known. */
export function fileLimitBytes({ host, devices, unified }: PlanMachine): number | null {
  if (host.budgetBytes === null || devices.some(({ budgetBytes }) => budgetBytes === null)) return null;
  const others = unified ? 0 : devices.reduce((sum, { budgetBytes }) => sum + (budgetBytes ?? 0), 0);
  return Math.max(0, Math.floor((host.budgetBytes + others - NEED_BYTES) / NEED_SHARE));
}

/** As if each token read all of it: mixtures of experts are faster. Null: nothing was measured. */
export function predictFile(sizeBytes: number, machine: PlanMachine): number | null {
  const device = machine.devices.find(
    ({ budgetBytes }) => budgetBytes !== null && sizeBytes * NEED_SHARE <= budgetBytes,
  );
  const at = device === undefined ? -1 : machine.devices.indexOf(device);
  const none = { weightsBytes: 0, kvBytes: 0, flops: 0 };
  const all = { ...none, weightsBytes: sizeBytes };
  const work = { host: at < 0 ? all : none, devices: machine.devices.map((_, index) => (index === at ? all : none)) };
  return tokensPerSecondOf(work, machine, null);
}
