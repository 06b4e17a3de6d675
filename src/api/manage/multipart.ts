// A multipart/form-data body, part by part as it arrives: a file in it may be larger than memory. Small fields are read whole.
// Knows nothing of what the parts mean.

import { AppError } from "../../protocol/errors.ts";

export interface Part {
  /** Of the form's field; empty: it has none. */
  name: string;
  /** Null: it is no file. */
  fileName: string | null;
  /** To be read to its end before the next part is asked for. */
  chunks: AsyncIterable<Uint8Array>;
}

/** A part's own headers are two lines. */
const HEAD_BYTES_MAX = 8 * 1024;
/** Forms of ours have a handful. */
const PARTS_MAX = 32;

/** The boundary that the header names; null: it is no multipart form. Throws `invalid_request` where it names none. */
export function readBoundary(contentType: string): string | null {
  if (!/^multipart\/form-data\s*(;|$)/i.test(contentType)) return null;
  const [, quoted, bare] = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType) ?? [];
  const boundary = quoted ?? bare;
  if (boundary === undefined) throw broken("its Content-Type names no boundary");
  return boundary;
}

export async function* readParts(chunks: AsyncIterable<Uint8Array>, boundary: string): AsyncGenerator<Part, void> {
  const source = new Source(chunks);
  // As if a line had ended before the first one.
  source.prepend("\r\n");
  const mark = Buffer.from(`\r\n--${boundary}`);
  // What stands before the first boundary is nobody's.
  for await (const _skipped of source.until(mark));
  for (let count = 0; ; count++) {
    const end = await source.take(2);
    if (end === "--") return;
    if (end !== "\r\n") throw broken("a boundary is followed by other bytes");
    if (count >= PARTS_MAX) throw broken(`it has more than ${PARTS_MAX} parts`);
    const { name, fileName } = readHead(await source.line(Buffer.from("\r\n\r\n"), HEAD_BYTES_MAX));
    const content = source.until(mark);
    yield { name, fileName, chunks: content };
    // What the reader left is skipped.
    for await (const _rest of content);
  }
}

/** A field's text. Throws `invalid_request` when it is longer. */
export async function readText(part: Part, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of part.chunks) {
    total += chunk.byteLength;
    if (total > bytesMax)
      throw broken(`the field ${JSON.stringify(part.name.slice(0, 60))} is longer than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function readHead(head: string): Pick<Part, "name" | "fileName"> {
  const disposition = head.split("\r\n").find((line) => /^content-disposition:/i.test(line)) ?? "";
  const read = (key: string): string | null => {
    // Browsers escape quotes and line ends as %22, %0D and %0A, and nothing else.
    const [, quoted, bare] = new RegExp(`;\\s*${key}=(?:"([^"]*)"|([^\\s;"]+))`, "i").exec(disposition) ?? [];
    return quoted ?? bare ?? null;
  };
  return { name: read("name") ?? "", fileName: read("filename") };
}

/** Bytes that have arrived and are not used up. */
class Source {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  prepend(text: string): void {
    this.#bytes = Buffer.concat([Buffer.from(text), this.#bytes]);
  }

  /** All up to the mark, which is used up. */
  async *until(mark: Buffer): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const at = this.#bytes.indexOf(mark);
      if (at >= 0) {
        const last = this.#bytes.subarray(0, at);
        this.#bytes = this.#bytes.subarray(at + mark.byteLength);
        if (last.byteLength > 0) yield last;
        return;
      }
      // The mark may begin in what is kept.
      const safe = this.#bytes.byteLength - mark.byteLength + 1;
      if (safe > 0) {
        const part = this.#bytes.subarray(0, safe);
        this.#bytes = this.#bytes.subarray(safe);
        yield part;
      }
      await this.#more();
    }
  }

  async take(count: number): Promise<string> {
    while (this.#bytes.byteLength < count) await this.#more();
    const taken = this.#bytes.subarray(0, count).toString("latin1");
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }

  /** Text up to the mark, which is used up. */
  async line(mark: Buffer, bytesMax: number): Promise<string> {
    for (;;) {
      const at = this.#bytes.indexOf(mark);
      if (at > bytesMax || (at < 0 && this.#bytes.byteLength > bytesMax)) throw broken("a part's headers are too long");
      if (at >= 0) {
        const text = this.#bytes.subarray(0, at).toString("utf8");
        this.#bytes = this.#bytes.subarray(at + mark.byteLength);
        return text;
      }
      await this.#more();
    }
  }

  async #more(): Promise<void> {
    const { done, value } = await this.#chunks.next();
    if (done === true) throw broken("it ends before its last boundary");
    this.#bytes = this.#bytes.byteLength === 0 ? Buffer.from(value) : Buffer.concat([this.#bytes, value]);
  }
}

function broken(why: string): AppError {
  return new AppError({ code: "invalid_request", message: `the multipart body can't be read: ${why}` });
}
