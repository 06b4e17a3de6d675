// Some bytes of a file of the Hub, into memory: for headers. Tried again where the connection broke off, never more than
// was asked for, and of one content only.

import { AppError } from "../protocol/errors.ts";
import type { ByteRange } from "./byte-ranges.ts";
import { readContentRange } from "./download-file.ts";
import { readBody } from "./read-body.ts";
import type { Reply, Request, Requester } from "./requester.ts";

export interface RangeSource {
  url: string;
  asked: Request["asked"];
  sizeBytes: number;
  /** As the listing has it; null: not known. */
  sha256: string | null;
}

/** The caller has bounded the range. Throws AppError. */
export async function fetchRange(
  requester: Requester,
  source: RangeSource,
  [start, end]: ByteRange,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { url, asked } = source;
  const bytes = new Uint8Array(end - start);
  let done = 0;
  for (let attempt = 1; ; attempt++) {
    const headers = { Range: `bytes=${start + done}-${end - 1}` };
    const reply = await requester.get({ url, asked, headers, signal });
    checkReply(reply, source, start + done);
    const begun = done;
    const arrived = await readBody(requester, reply, bytes.byteLength - begun, (part, at) =>
      bytes.set(part, begun + at),
    );
    done += arrived.bytes;
    if (done === bytes.byteLength) return bytes;
    const message = `${asked.what} can't be looked into: ${arrived.why}`;
    if (attempt >= requester.limits.attemptsMax) throw new AppError({ code: "download_failed", message });
    await requester.pause(attempt, null, message, signal);
  }
}

/** A server may give a file whole: then its beginning is what is asked for, and nothing else can be had. */
function checkReply(reply: Reply, { asked, sizeBytes, sha256 }: RangeSource, at: number): void {
  const range = readContentRange(reply.response);
  const { identity } = reply;
  const isOther = sha256 !== null && identity !== null && /^[0-9a-f]{64}$/.test(identity) && identity !== sha256;
  const isPart = range !== null && range.start === at && range.total === sizeBytes;
  if (!isOther && (isPart || (at === 0 && reply.response.status === 200))) return;
  reply.cancel();
  const why = isOther || range !== null ? "the file changed since it was listed" : "the server gives no parts of files";
  throw new AppError({ code: "download_failed", message: `${asked.what} can't be looked into: ${why}` });
}
