// Reads Server-Sent Events out of a byte stream: the client side, for `run`. Yields each event's data;
// names and ids are not needed. Bounded: an event over the limit is an error, not a growing buffer.

/** Far above any chunk of a chat stream; a peer that sends more is not speaking our protocol. */
const EVENT_CHARS_MAX = 16 * 1024 * 1024;

/** The `data` of every event in order. Lines may end in LF or CRLF, and may be cut anywhere. */
export async function* readSseData(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let pending = "";
  let data: string[] = [];
  let dataChars = 0;
  for await (const chunk of stream) {
    pending += decoder.decode(chunk, { stream: true });
    const lines = pending.split("\n");
    pending = lines.pop() ?? "";
    if (pending.length > EVENT_CHARS_MAX) throw new RangeError("the server sent an event over the size limit");
    for (const rawLine of lines) {
      const line = rawLine.endsWith("\r") ? rawLine.slice(0, -1) : rawLine;
      if (line === "") {
        if (data.length > 0) yield data.join("\n");
        data = [];
        dataChars = 0;
      } else if (line.startsWith("data:")) {
        data.push(line.slice(line[5] === " " ? 6 : 5));
        dataChars += line.length;
        if (dataChars > EVENT_CHARS_MAX) throw new RangeError("the server sent an event over the size limit");
      }
    }
  }
  // A stream that ends without the last blank line: the specification drops such an event.
}
