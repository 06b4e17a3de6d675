// What the arrival times of a stream's chunks say. Pure; all times are milliseconds of one monotonic clock.

/** What a client saw of one streamed answer. */
export interface StreamRecord {
  sentMs: number;
  /** When each chunk that carried text came. */
  arrivalsMs: readonly number[];
  endMs: number;
  text: string;
  /** By the server's own count; null where it tells none. */
  promptTokens: number | null;
  completionTokens: number | null;
  /** Prompt tokens that it computed, rather than took from a cache. */
  evaluatedTokens: number | null;
}

/** The middle one, or the mean of the two in the middle; null of none. */
export function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  return upper === undefined || lower === undefined ? null : (upper + lower) / 2;
}

export function listGaps(timesMs: readonly number[]): number[] {
  return timesMs.slice(1).map((time, i) => time - (timesMs[i] ?? time));
}

/** Null when no text came. */
export function firstTokenMs(record: StreamRecord): number | null {
  const [first] = record.arrivalsMs;
  return first === undefined ? null : first - record.sentMs;
}

/** Tokens as the server counts them, else chunks: most servers send one chunk per token. */
export function countTokens(record: StreamRecord): number {
  return record.completionTokens ?? record.arrivalsMs.length;
}

/** Tokens per second from the first to the last of a stream; null below two. */
export function decodeRate(record: StreamRecord): number | null {
  const [first, last] = [record.arrivalsMs[0], record.arrivalsMs.at(-1)];
  if (first === undefined || last === undefined || last <= first) return null;
  return ((countTokens(record) - 1) * 1000) / (last - first);
}

/** Tokens per second of several streams while all of them ran; null when there was no such time. */
export function overlapRate(records: readonly StreamRecord[]): number | null {
  const from = Math.max(...records.map((record) => record.arrivalsMs[0] ?? Number.POSITIVE_INFINITY));
  const to = Math.min(...records.map((record) => record.arrivalsMs.at(-1) ?? Number.NEGATIVE_INFINITY));
  if (!(to > from)) return null;
  const arrivals = records.flatMap((record) => record.arrivalsMs.filter((time) => time > from && time <= to));
  return (arrivals.length * 1000) / (to - from);
}

/** All tokens over the whole time, prompts included: what those who wait together see. */
export function totalRate(records: readonly StreamRecord[]): number | null {
  const from = Math.min(...records.map((record) => record.sentMs));
  const to = Math.max(...records.map((record) => record.endMs));
  if (!(to > from)) return null;
  return (records.reduce((sum, record) => sum + countTokens(record), 0) * 1000) / (to - from);
}

export function medianFirstTokenMs(records: readonly StreamRecord[]): number | null {
  return median(records.map(firstTokenMs).filter((ms) => ms !== null));
}

/**
 * The longest time without a chunk between two moments, counted from the last chunk before the first of them. A gap that
 * the second moment cuts counts as long as it was until then. Null when nothing came before.
 */
export function largestGapMs(arrivalsMs: readonly number[], fromMs: number, toMs: number): number | null {
  const before = arrivalsMs.findLast((time) => time <= fromMs);
  if (before === undefined) return null;
  const inside = arrivalsMs.filter((time) => time > fromMs && time < toMs);
  return Math.max(...listGaps([before, ...inside, toMs]));
}
