// Whose memory another model gets. Pure: engines with their bytes and worth in, whom to stop out. Stops nothing, and knows
// nothing of requests that wait (admission.ts).
//
// Worth is GreedyDual-Size: what a reload costs per MiB, counted from a level that rises with every eviction. So a model that
// was dear to load stays longer, but none stays for ever on its price alone.

import { addPools, leftOf, type PoolBudgets, type PoolBytes } from "./pools.ts";

export interface Holder {
  key: string;
  /** Until its process is gone. */
  bytes: PoolBytes;
  pinned: boolean;
  /** Those of a lower one go first; 0 unless the model's file says otherwise. */
  priority: number;
  /** Requests in its engine. */
  running: number;
  /** Of `worthOf`, when it was last used. */
  worth: number;
  lastUsedMs: number;
  /** `going`: its process ends, and nothing stops that. `held`: not now, but some time. `closing`: it takes no new requests, and could again. */
  standing: "open" | "closing" | "held" | "going";
}

export type RoomChoice =
  /** There is room now. */
  | { kind: "fits" }
  /** There will be, without anybody else's going. */
  | { kind: "wait" }
  /** There will be when these have gone. */
  | { kind: "evict"; keys: string[] }
  /** There never will be, since so much is all that there can be in this pool. */
  | { kind: "refused"; pool: number; bytesMax: number };

const MIB = 1024 ** 2;

/** Of a model that is used now. Prices are rounded to powers of two: what was measured a little faster is worth the same. */
export function worthOf(level: number, { reloadMs, bytes }: { reloadMs: number; bytes: number }): number {
  const msPerMib = (reloadMs * MIB) / Math.max(bytes, MIB);
  return level + 2 ** Math.round(Math.log2(Math.max(msPerMib, 2 ** -10)));
}

export function chooseVictims(holders: readonly Holder[], need: PoolBytes, budgets: PoolBudgets): RoomChoice {
  const sum = (some: readonly Holder[]): number[] =>
    addPools(
      some.map(({ bytes }) => bytes),
      budgets.length,
    );
  const most = leftOf(budgets, sum(holders.filter((holder) => holder.pinned && holder.standing !== "going")));
  const tooSmall = most.findIndex((bytes, pool) => (need[pool] ?? 0) > bytes);
  if (tooSmall >= 0) return { kind: "refused", pool: tooSmall, bytesMax: Math.max(0, most[tooSmall] ?? 0) };
  // What is left once the newcomer is there: below 0, so much is missing.
  let left = leftOf(budgets, addPools([sum(holders), need], budgets.length));
  const isEnough = (): boolean => left.every((bytes) => bytes >= 0);
  const giveBack = (bytes: PoolBytes): void => {
    left = left.map((before, pool) => before + (bytes[pool] ?? 0));
  };
  if (isEnough()) return { kind: "fits" };
  giveBack(sum(holders.filter(({ standing }) => standing === "going")));
  if (isEnough()) return { kind: "wait" };
  const open = holders.filter(({ standing, pinned }) => (standing === "open" || standing === "closing") && !pinned);
  const chosen: Holder[] = [];
  for (const holder of open.sort(compareHolders)) {
    if (isEnough()) break;
    // Memory of another place is of no use.
    if (left.every((bytes, pool) => bytes >= 0 || (holder.bytes[pool] ?? 0) === 0)) continue;
    chosen.push(holder);
    giveBack(holder.bytes);
  }
  if (!isEnough()) return { kind: "wait" };
  return { kind: "evict", keys: leaveOutNeedless(chosen, left).map(({ key }) => key) };
}

/** Who goes first. Idle ones before those at work, whose requests have to end first. */
function compareHolders(a: Holder, b: Holder): number {
  return (
    a.priority - b.priority ||
    Number(a.running > 0) - Number(b.running > 0) ||
    Number(b.standing === "closing") - Number(a.standing === "closing") ||
    a.worth - b.worth ||
    a.lastUsedMs - b.lastUsedMs ||
    (a.key < b.key ? -1 : 1)
  );
}

/** A large one that was chosen last may make the small ones before it needless. */
function leaveOutNeedless(chosen: readonly Holder[], left: PoolBytes): Holder[] {
  let spare = left;
  return chosen
    .toReversed()
    .filter(({ bytes }) => {
      const without = spare.map((before, pool) => before - (bytes[pool] ?? 0));
      if (without.some((after) => after < 0)) return true;
      spare = without;
      return false;
    })
    .toReversed();
}
