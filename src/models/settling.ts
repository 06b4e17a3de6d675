// Whether a file that has just appeared is whole, or still being written. Pure: judged by its header, which says how long
// it must be, and by how long ago it last changed.

import type { FoundModel } from "./found.ts";

/** A copy writes more often than this. A file whose length is right may still have holes until it is quiet for so long. */
const QUIET_MS = 2_000;
/** One that is too short, or lacks parts, gets longer before it counts as damaged: a download may pause. */
const INCOMPLETE_QUIET_MS = 15_000;
/** Dates that lie further ahead are no clock's fault, and tell nothing about when the file was written. */
const AHEAD_MS_MAX = 60_000;

/** `nowMs`: of the wall clock, as files' dates are. */
export function isSettling(found: FoundModel, incomplete: boolean, nowMs: number): boolean {
  if (found.explicit || found.modifiedMs === 0) return false;
  // It was renamed into its place when all of it was there.
  if (found.isChecked === true && !incomplete) return false;
  const ageMs = nowMs - found.modifiedMs;
  if (ageMs < -AHEAD_MS_MAX) return false;
  return ageMs < (incomplete ? INCOMPLETE_QUIET_MS : QUIET_MS);
}
