// Which kept sequence is worth least. Pure: what a sequence is worth falls with the time that nobody used it.

export interface Keepable {
  seqId: number;
  tokens: number;
  usedMs: number;
  /** Null: its client did not say that it belongs to a conversation. */
  session: string | null;
  /** What is left is the system text and the tools, with which other conversations begin too. */
  isPreamble: boolean;
}

/** A sequence that is not used for this long is worth half. */
const HALF_LIFE_MS = 10 * 60_000;
/** A conversation that has a name will go on: half an hour of silence makes it no less than one that just passed by. */
const SESSION_FACTOR = 8;

export function worthOf({ tokens, usedMs, session }: Keepable, nowMs: number): number {
  return tokens * (session === null ? 1 : SESSION_FACTOR) * 2 ** ((usedMs - nowMs) / HALF_LIFE_MS);
}

/** Preambles go last; before them whatever is worth least. */
export function chooseLeast<K extends Keepable>(kept: Iterable<K>, nowMs: number): K | null {
  let least: K | null = null;
  for (const one of kept) {
    if (least === null || compareWorth(one, least, nowMs) < 0) least = one;
  }
  return least;
}

function compareWorth(a: Keepable, b: Keepable, nowMs: number): number {
  return Number(a.isPreamble) - Number(b.isPreamble) || worthOf(a, nowMs) - worthOf(b, nowMs);
}
