// From whom a new sequence takes its beginning: the longest prefix that is there now, or, where one that is being read
// will soon be longer, to wait for it. Pure.

export interface Donor {
  /** Null: nobody holds it, it is a state by itself. */
  seqId: number | null;
  /** Tokens that can be taken over now. */
  usable: number;
  /** Tokens that can be taken over once the donor's prompt is read; not under `usable`. */
  promised: number;
  isLive: boolean;
}

export type PrefixChoice<D extends Donor> =
  | { kind: "none" }
  | { kind: "fork"; donor: D }
  /** This one reads the same tokens right now: reading them twice would take longer than to wait. */
  | { kind: "wait"; donor: D };

/** Reading fewer tokens anew costs less than waiting for a step. */
const WAIT_TOKENS_MIN = 32;
/** A shorter prefix is not worth sharing: its cells would be held by two. */
const FORK_TOKENS_MIN = 4;

export function choosePrefix<D extends Donor>(donors: readonly D[]): PrefixChoice<D> {
  let best: D | null = null;
  let reader: D | null = null;
  for (const donor of donors) {
    if (donor.promised > (reader?.promised ?? 0)) reader = donor;
    if (best === null || isBetter(donor, best)) best = donor;
  }
  const usable = best?.usable ?? 0;
  if (reader !== null && reader.promised - usable >= WAIT_TOKENS_MIN) return { kind: "wait", donor: reader };
  return best === null || usable < FORK_TOKENS_MIN ? { kind: "none" } : { kind: "fork", donor: best };
}

/** Of equal ones a kept sequence is better: it can be taken over whole. */
function isBetter(a: Donor, b: Donor): boolean {
  return a.usable > b.usable || (a.usable === b.usable && b.isLive && !a.isLive);
}
