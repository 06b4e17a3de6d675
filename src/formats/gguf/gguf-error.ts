// What can be wrong with a GGUF file, as a typed error. The reader throws it; models/ turns it into
// an answer for clients.

/**
 * `not-gguf`: other magic bytes. `unsupported`: a GGUF that this version can't run.
 * `truncated`: bytes are missing at the end. `damaged`: contradicts itself. `limit`: sizes that no real file has.
 */
export type GgufReason = "not-gguf" | "unsupported" | "truncated" | "damaged" | "limit";

export class GgufError extends Error {
  readonly reason: GgufReason;
  /** Bytes that the file lacks, at least; null where that is not the trouble. */
  readonly missingBytes: number | null;

  constructor(reason: GgufReason, message: string, missingBytes: number | null = null) {
    super(message);
    this.name = "GgufError";
    this.reason = reason;
    this.missingBytes = missingBytes;
  }
}
