// What NVIDIA's management library means by its numbers: errors, and reasons for running slower. Pure.

import { isRecord } from "../lib/is-record.ts";
import type { Reading } from "./device.ts";

export const NOT_PERMITTED = 4;
export const DRIVER_NOT_LOADED = 9;
export const LIBRARY_NOT_FOUND = 12;
export const VERSION_MISMATCH = 18;

const ERRORS: Readonly<Record<number, string>> = {
  1: "the driver's library is not started",
  2: "the driver calls the question wrong",
  3: "this device or driver does not support it",
  4: "there is no permission to read it",
  6: "the driver does not find it",
  7: "the driver has more to tell than there is room for",
  8: "the device has no external power: a cable is missing",
  9: "the driver is not loaded",
  10: "the driver timed out",
  11: "the kernel has a problem with the device's interrupts",
  12: "a library of the driver is missing",
  13: "this version of the driver does not have it",
  14: "the device's own settings memory is damaged",
  15: "the driver has lost the device",
  16: "the device has to be reset",
  17: "the operating system keeps this process from the device",
  18: "the driver's library and its kernel module are of different versions",
  19: "the device is in use by something that excludes it",
  20: "the driver is out of memory",
  21: "the driver has no data yet",
  26: "this version of the driver does not have it any more",
  28: "the driver does not find the device",
  29: "the device is in no state to answer",
  999: "the driver says no more than that something went wrong",
};

export function describeError(code: number): string {
  return ERRORS[code] ?? `the driver answers with error ${code}`;
}

/** Errors after which the device is of no use to anybody. */
export const LOST: readonly number[] = [8, 11, 15, 16, 17, 28, 999];

/** The code of a reading that is an error; null: it is none. */
export function errorCodeOf(raw: unknown): number | null {
  return isRecord(raw) && typeof raw.error === "number" ? raw.error : null;
}

export function reasonOf(raw: unknown): string {
  const code = errorCodeOf(raw);
  if (code !== null) return describeError(code);
  if (isRecord(raw) && raw.missing === true) return "this version of the driver has no such call";
  return "the driver's answer can't be understood";
}

export function numberOf(raw: unknown, unit = 1): Reading<number> {
  return typeof raw === "number" ? { value: raw / unit } : { reason: reasonOf(raw) };
}

export function textOf(raw: unknown): Reading<string> {
  // What a driver calls a device may hold anything.
  const text = typeof raw === "string" ? raw.replace(/[^\x20-\x7e]/g, "").trim() : "";
  return text === "" ? { reason: reasonOf(raw) } : { value: text };
}

const THROTTLE: readonly (readonly [bit: number, reason: string])[] = [
  [0x2, "clocks set by a person"],
  [0x4, "power cap"],
  [0x8, "hardware slowdown"],
  [0x10, "held back by another device"],
  [0x20, "thermal"],
  [0x40, "hardware thermal"],
  [0x80, "power brake"],
  [0x100, "display clocks"],
];

/** Idling (bit 1) is no reason that slows anything down. */
export function listThrottleReasons(bits: number): string[] {
  const known = BigInt(Math.trunc(bits));
  return THROTTLE.filter(([bit]) => (known & BigInt(bit)) !== 0n).map(([, reason]) => reason);
}
