// Where Linux machines take their power from, and whether they are too hot. Pure but for the reader.

import type { PowerSnapshot } from "../protocol/machine.ts";
import type { Explain, SystemReader } from "./reader.ts";

export function readPower(system: SystemReader, explain: Explain): PowerSnapshot {
  return { source: readSource(system, explain), thermalState: readThermalState(system, explain) };
}

const SUPPLIES = "/sys/class/power_supply";

function readSource({ text, list }: SystemReader, explain: Explain): PowerSnapshot["source"] {
  const supplies = list(SUPPLIES).map((name) => {
    const read = (file: string): string => text(`${SUPPLIES}/${name}/${file}`)?.trim() ?? "";
    return { type: read("type"), online: read("online"), status: read("status"), scope: read("scope") };
  });
  // A mouse has a battery too.
  const own = supplies.filter(({ scope }) => scope !== "Device");
  if (own.some(({ type, online }) => type !== "Battery" && type !== "UPS" && online === "1")) return "mains";
  const batteries = own.filter(({ type }) => type === "Battery" || type === "UPS");
  if (batteries.some(({ status }) => status === "Discharging")) return "battery";
  if (batteries.some(({ status }) => ["Charging", "Full", "Not charging"].includes(status))) return "mains";
  return explain("power.source", "no power supply tells its state, as on most servers and virtual machines");
}

const ZONES = "/sys/class/thermal";
/** Sensors that are not connected read as absolute zero or as their largest number. */
const CREDIBLE_CELSIUS = { min: 1, max: 150 };
/** A zone this close to where the processor is slowed down will be there soon under load. */
const NEAR_CELSIUS = 5;
/** Trip points of a zone: the kernel has 12 at most. */
const TRIPS_MAX = 12;

const STATES = ["nominal", "fair", "serious", "critical"] as const;

/** The worst zone. Only zones that say where their limits are can tell. */
function readThermalState(system: SystemReader, explain: Explain): PowerSnapshot["thermalState"] {
  const zones = system.list(ZONES).filter((name) => /^thermal_zone\d+$/.test(name));
  const states = zones.map((zone) => judgeZone(system, `${ZONES}/${zone}`)).filter((state) => state !== null);
  if (states.length === 0) return explain("power.thermalState", "no sensor tells its temperature and its limits");
  return STATES[Math.max(...states)] ?? null;
}

/** An index of `STATES`. */
function judgeZone({ text }: SystemReader, zone: string): number | null {
  const celsius = readCelsius(text(`${zone}/temp`));
  if (celsius === null) return null;
  let state: number | null = null;
  for (let trip = 0; trip < TRIPS_MAX; trip++) {
    const kind = text(`${zone}/trip_point_${trip}_type`)?.trim();
    if (kind === undefined) break;
    const limit = readCelsius(text(`${zone}/trip_point_${trip}_temp`));
    if (limit === null || !["passive", "hot", "critical"].includes(kind)) continue;
    const reached = kind === "passive" ? 2 : 3;
    const near = celsius >= limit - NEAR_CELSIUS ? 1 : 0;
    state = Math.max(state ?? 0, celsius >= limit ? reached : near);
  }
  return state;
}

function readCelsius(text: string | null): number | null {
  const trimmed = text?.trim() ?? "";
  if (!/^-?\d+$/.test(trimmed)) return null;
  const celsius = Number(trimmed) / 1000;
  return celsius >= CREDIBLE_CELSIUS.min && celsius <= CREDIBLE_CELSIUS.max ? celsius : null;
}
