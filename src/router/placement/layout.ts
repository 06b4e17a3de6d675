// How several devices share a model's layers. Pure. One device alone comes first, since nothing passes between devices then;
// then shares by free memory; then each device filled in turn, which finds room wherever there is any.

import type { MemoryNeed } from "../../protocol/memory-need.ts";
import type { Choice } from "./choices.ts";
import type { AskedSettings, PlanSettings, PlanSubject } from "./plan.ts";
import { findShortfalls, needByPool, type Room } from "./room.ts";

export interface Layout {
  settings: PlanSettings;
  need: MemoryNeed;
}

/** The first layout that fits; null: none does. */
export function findLayout(subject: PlanSubject, choice: Choice, asked: AskedSettings, room: Room): Layout | null {
  for (const shares of listShares(subject, choice, asked, room)) {
    const layout = layOut(subject, choice, shares);
    if (findShortfalls(layout.need, room).length === 0) return layout;
  }
  return null;
}

/** All that are worth a look. */
export function listLayouts(subject: PlanSubject, choice: Choice, asked: AskedSettings, room: Room): Layout[] {
  return [...listShares(subject, choice, asked, room)].map((shares) => layOut(subject, choice, shares));
}

function layOut(subject: PlanSubject, choice: Choice, deviceShares: number[]): Layout {
  const settings = { ...choice, deviceShares };
  return { settings, need: subject.needOf(settings) };
}

function* listShares(subject: PlanSubject, choice: Choice, asked: AskedSettings, room: Room): Generator<number[]> {
  const devices = room.pools.slice(1);
  if (asked.deviceShares !== undefined) {
    yield asked.deviceShares;
    return;
  }
  if (devices.length === 0 || choice.gpuLayers === 0) {
    yield devices.map(() => 0);
    return;
  }
  const byRoom = devices.map((_, at) => at).sort((a, b) => left(room, b) - left(room, a));
  for (const only of byRoom) yield devices.map((_, at) => (at === only ? 1 : 0));
  if (devices.length === 1) return;
  const known = devices.map(({ leftBytes }) => Math.max(0, leftBytes)).filter(Number.isFinite);
  const sum = known.reduce((total, bytes) => total + bytes, 0);
  if (known.length === devices.length && sum > 0) {
    yield toShares(
      roundCounts(
        known.map((bytes) => (bytes / sum) * choice.gpuLayers),
        choice.gpuLayers,
      ),
    );
  }
  yield toShares(fillInTurn(subject, choice, room));
}

function left({ pools }: Room, device: number): number {
  return pools[device + 1]?.leftBytes ?? 0;
}

/** Whole layers: llama.cpp gives a layer to the device in whose share it begins, and a sum of whole layers is met exactly. */
function toShares(counts: readonly number[]): number[] {
  const sum = counts.reduce((total, count) => total + count, 0);
  return counts.map((count) => count / sum);
}

function roundCounts(exact: readonly number[], total: number): number[] {
  const counts = exact.map(Math.floor);
  const byRest = exact.map((_, at) => at).sort((a, b) => ((exact[b] ?? 0) % 1) - ((exact[a] ?? 0) % 1));
  let missing = total - counts.reduce((sum, count) => sum + count, 0);
  for (const at of byRest) {
    if (missing-- <= 0) break;
    counts[at] = (counts[at] ?? 0) + 1;
  }
  return counts;
}

/** As many layers as fit to the first device, then to the next; the last one gets what is left. */
function fillInTurn(subject: PlanSubject, choice: Choice, room: Room): number[] {
  const count = room.pools.length - 1;
  const counts: number[] = Array.from({ length: count }, () => 0);
  let missing = choice.gpuLayers;
  for (let at = 0; at < count - 1 && missing > 0; at++) {
    const fits = (layers: number): boolean => {
      const trial = counts.map((given, device) =>
        device === at ? layers : device === at + 1 ? missing - layers : given,
      );
      const { need } = layOut(subject, choice, toShares(trial));
      return (needByPool(need, room.unified)[at + 1] ?? 0) <= left(room, at);
    };
    const most = findMost(missing, fits);
    counts[at] = most;
    missing -= most;
  }
  counts[count - 1] = missing;
  return counts;
}

/** The largest of 0…most that passes, as every smaller one does. */
function findMost(most: number, passes: (value: number) => boolean): number {
  let [low, high] = [0, most];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (passes(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}
