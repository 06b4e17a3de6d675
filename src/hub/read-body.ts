// Takes the body of an answer, as far as it is wanted: one that breaks off, falls silent or trickles is a result, not an
// error, since what has arrived of it counts. What becomes of the bytes is the caller's business.

import { Alarm } from "../lib/alarm.ts";
import type { Reply, Requester } from "./requester.ts";

export interface Arrived {
  bytes: number;
  /** Why there are no more, where more were due. */
  why: string;
}

/** At most `wantedBytes`; ends the body. Throws what `take` throws. */
export async function readBody(
  { clock, limits }: Pick<Requester, "clock" | "limits">,
  { response, cancel }: Pick<Reply, "response" | "cancel">,
  wantedBytes: number,
  take: (bytes: Uint8Array, at: number) => Promise<void> | void,
): Promise<Arrived> {
  let stalled = false;
  const stall = new Alarm(clock, limits.stallMs, () => {
    stalled = true;
    cancel();
  });
  const reader = response.body?.getReader();
  let at = 0;
  let lap = { at, ms: clock.monotonicMs() };
  try {
    while (reader !== undefined && at < wantedBytes) {
      stall.set();
      const chunk = await readChunk(reader);
      stall.clear();
      if (typeof chunk === "string") return { bytes: at, why: stalled ? "it sent nothing more" : chunk };
      const part = chunk.subarray(0, wantedBytes - at);
      await take(part, at);
      at += part.byteLength;
      const nowMs = clock.monotonicMs();
      if (nowMs - lap.ms < limits.slowMs) continue;
      if (at < wantedBytes && at - lap.at < limits.slowBytesMin) return { bytes: at, why: "it came too slowly" };
      lap = { at, ms: nowMs };
    }
  } finally {
    stall.dispose();
    cancel();
  }
  return { bytes: at, why: "it ended too early" };
}

/** The next bytes, or why there are none. */
async function readChunk(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array | string> {
  try {
    const { done, value } = await reader.read();
    return done || value === undefined ? "it ended too early" : value;
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}
