// Whose memory another model gets. Pure: engines with their bytes and worth in, whom to stop out. Stops nothing, and knows
// nothing of requests that wait (admission.ts).
//
// Worth is GreedyDual-Size: what a reload costs per MiB, counted from a level that rises with every eviction. So a model that
// was dear to load stays longer, but none stays for ever on its price alone.

export interface Holder {
  key: string;
  /** Until its process is gone. */
  bytes: number;
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
  /** There never will be, since so much is all that there can be. */
  | { kind: "refused"; bytesMax: number };

const MIB = 1024 ** 2;

/** Of a model that is used now. Prices are rounded to powers of two: what was measured a little faster is worth the same. */
export function worthOf(level: number, { reloadMs, bytes }: { reloadMs: number; bytes: number }): number {
  const msPerMib = (reloadMs * MIB) / Math.max(bytes, MIB);
  return level + 2 ** Math.round(Math.log2(Math.max(msPerMib, 2 ** -10)));
}

export function chooseVictims(holders: readonly Holder[], needBytes: number, budgetBytes: number): RoomChoice {
  const pinned = sumBytes(holders.filter((holder) => holder.pinned && holder.standing !== "going"));
  if (needBytes > budgetBytes - pinned) return { kind: "refused", bytesMax: Math.max(0, budgetBytes - pinned) };
  let missing = needBytes - (budgetBytes - sumBytes(holders));
  if (missing <= 0) return { kind: "fits" };
  missing -= sumBytes(holders.filter(({ standing }) => standing === "going"));
  if (missing <= 0) return { kind: "wait" };
  const open = holders.filter(({ standing, pinned }) => (standing === "open" || standing === "closing") && !pinned);
  const chosen: Holder[] = [];
  for (const holder of open.sort(compareHolders)) {
    if (missing <= 0) break;
    chosen.push(holder);
    missing -= holder.bytes;
  }
  if (missing > 0) return { kind: "wait" };
  return { kind: "evict", keys: leaveOutNeedless(chosen, -missing).map(({ key }) => key) };
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
function leaveOutNeedless(chosen: readonly Holder[], spareBytes: number): Holder[] {
  let spare = spareBytes;
  return chosen
    .toReversed()
    .filter(({ bytes }) => {
      if (bytes > spare) return true;
      spare -= bytes;
      return false;
    })
    .toReversed();
}

function sumBytes(holders: readonly Holder[]): number {
  return holders.reduce((sum, { bytes }) => sum + bytes, 0);
}
