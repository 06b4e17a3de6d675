// How patient a download is, in one place: so that tests need not wait.

export interface HubLimits {
  /** Tries of one request, and of one piece without progress. */
  attemptsMax: number;
  /** The first pause; each next one is twice as long, up to `backoffMsMax`. */
  backoffMs: number;
  backoffMsMax: number;
  /** A server that asks for a longer pause is told to the person instead. */
  retryAfterMsMax: number;
  /** Until a server begins to answer. */
  headersMs: number;
  /** Without a byte of an answer. */
  stallMs: number;
  /** A connection that brings less than `slowBytesMin` within so long is given up for a new one. */
  slowMs: number;
  slowBytesMin: number;
  /** Pieces at once. */
  connections: number;
  pieceBytes: number;
  /** Of a file or its listing, when it changes while it is fetched. */
  restartsMax: number;
}

export const HUB_LIMITS: HubLimits = {
  attemptsMax: 6,
  backoffMs: 500,
  backoffMsMax: 30_000,
  // The Hub counts requests in windows of five minutes.
  retryAfterMsMax: 300_000,
  headersMs: 30_000,
  stallMs: 60_000,
  // A kilobyte a second: slower than any network of today, and no silence that `stallMs` would meet.
  slowMs: 60_000,
  slowBytesMin: 60_000,
  // More bring nothing: the Hub's storage gives a connection some 100 MB/s.
  connections: 4,
  // Small enough that a slow piece does not hold up the end, large enough that its request does not count.
  pieceBytes: 32 * 1024 * 1024,
  restartsMax: 2,
};
