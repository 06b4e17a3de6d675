// `hardware_scaling` of a model file: tiers with conditions and settings. Of those whose conditions hold on this machine the most
// demanding one is chosen. Pure; all sizes are the file's.

import { isRecord } from "../../lib/is-record.ts";
import { GB, gigabytes, type HardwareNote, type MachineFacts } from "./machine.ts";
import { type ModelFileSettings, SETTINGS } from "./schema.ts";

export interface ChosenTier {
  settings: ModelFileSettings;
  notes: HardwareNote[];
  withoutEffect: string[];
}

interface Tier {
  /** Where it stands, such as `hardware_scaling.large`. */
  keys: string[];
  minMemoryBytes: number;
  maxMemoryBytes: number;
  minCores: number;
  settings: ModelFileSettings;
}

const KEY = "hardware_scaling";
/** A tier that is called by its memory. */
const SIZE = /^(\d+(?:\.\d+)?)\s*gi?b$/i;
const CONDITIONS = ["min_memory_gb", "max_memory_gb", "min_cores"] as const;

/** `wrong` makes what is thrown of settings that are none. */
export function chooseTier(
  scaling: unknown,
  machine: MachineFacts,
  wrong: (keys: string[], what: string) => Error,
): ChosenTier {
  if (scaling === undefined) return { settings: {}, notes: [], withoutEffect: [] };
  const entries = Array.isArray(scaling)
    ? scaling.map((tier, at): [string, unknown] => [String(at + 1), tier])
    : isRecord(scaling)
      ? Object.entries(scaling)
      : null;
  if (entries === null) return { settings: {}, notes: [], withoutEffect: [KEY] };
  const withoutEffect: string[] = [];
  const tiers = entries.flatMap(([name, value]) => {
    const tier = readTier(name, value, wrong);
    if (tier === null) withoutEffect.push(`${KEY}.${name}`);
    return tier ?? [];
  });
  const held = tiers.filter((tier) => objectionTo(tier, machine) === null).sort(byDemand);
  const [chosen] = held;
  const notes = tiers.map((tier): HardwareNote => {
    const key = tier.keys.join(".");
    const objection = objectionTo(tier, machine);
    if (tier === chosen) return { key, outcome: "used", reason: `its conditions hold: ${describe(machine)}` };
    const reason = objection ?? `${chosen?.keys.join(".")} asks for more, and holds as well`;
    return { key, outcome: "unused", reason };
  });
  return { settings: chosen?.settings ?? {}, notes, withoutEffect };
}

/** Null: it is no tier, or has a condition that nothing is known of. */
function readTier(name: string, value: unknown, wrong: (keys: string[], what: string) => Error): Tier | null {
  if (!isRecord(value)) return null;
  const { settings = {}, ...rest } = value;
  const conditions = Object.entries(rest);
  const isKnown = ([key, amount]: [string, unknown]): boolean =>
    CONDITIONS.some((condition) => condition === key) && typeof amount === "number" && amount >= 0;
  const size = SIZE.exec(name)?.[1];
  // A name that is no size tells nothing: a tier is known by its settings.
  if (!conditions.every(isKnown) || value.settings === undefined) return null;
  const parsed = SETTINGS.safeParse(settings);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const at = issue?.code === "unrecognized_keys" ? (issue.keys[0] ?? "") : (issue?.path.join(".") ?? "");
    throw wrong([KEY, name, "settings", at], `is wrong: ${issue?.message ?? "it can't be read"}`);
  }
  const { min_memory_gb, max_memory_gb, min_cores } = rest as Partial<Record<(typeof CONDITIONS)[number], number>>;
  return {
    keys: [KEY, name],
    minMemoryBytes: (min_memory_gb ?? Number(size ?? 0)) * GB,
    maxMemoryBytes: max_memory_gb === undefined ? Number.POSITIVE_INFINITY : max_memory_gb * GB,
    minCores: min_cores ?? 0,
    settings: parsed.data,
  };
}

/** Why it is not for this machine; null: it is. */
function objectionTo(tier: Tier, { memory: { totalBytes }, cpu: { usableCores } }: MachineFacts): string | null {
  const { minMemoryBytes, maxMemoryBytes, minCores } = tier;
  const asksMemory = minMemoryBytes > 0 || maxMemoryBytes < Number.POSITIVE_INFINITY;
  if (asksMemory && totalBytes === null) return "how much memory is here is not known";
  if ((totalBytes ?? 0) < minMemoryBytes) return `it is for ${gigabytes(minMemoryBytes)} of memory and more`;
  if (asksMemory && (totalBytes ?? 0) > maxMemoryBytes) return `it is for up to ${gigabytes(maxMemoryBytes)} of memory`;
  if (minCores > 0 && usableCores === null) return "how many cores are here is not known";
  return (usableCores ?? 0) < minCores ? `it is for ${minCores} cores and more` : null;
}

/** Memory before cores; of equals the first one in the file. */
function byDemand(a: Tier, b: Tier): number {
  return b.minMemoryBytes - a.minMemoryBytes || b.minCores - a.minCores || a.maxMemoryBytes - b.maxMemoryBytes;
}

function describe({ memory: { totalBytes }, cpu: { usableCores } }: MachineFacts): string {
  const memory = totalBytes === null ? "memory unknown" : `${gigabytes(totalBytes)} of memory`;
  return `${memory}, ${usableCores === null ? "cores unknown" : `${usableCores} cores`}`;
}
