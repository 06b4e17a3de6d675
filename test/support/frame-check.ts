// Checks each frame of a streamed answer while it passes: server-sent events, or lines of JSON. Nothing is read before
// the reader asks, and its leaving reaches the source, so that tests of streams see what they would see without it.

import { AssertionError } from "node:assert";

/** What follows OpenAI's last frame. */
const END = "[DONE]";

export function checkFrames(
  body: ReadableStream<Uint8Array>,
  contentType: string,
  check: (frame: unknown) => void,
): ReadableStream<Uint8Array> {
  const isEvents = contentType === "text/event-stream";
  const separator = isEvents ? "\n\n" : "\n";
  const reader = body.getReader();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  const source: UnderlyingDefaultSource<Uint8Array> = {
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) {
        if (rest !== "") throw new AssertionError({ message: `the stream ended within a frame: ${rest}` });
        controller.close();
        return;
      }
      const frames = (rest + decoder.decode(value, { stream: true })).split(separator);
      rest = frames.pop() ?? "";
      for (const frame of frames) {
        if (isEvents) checkEvent(frame, check);
        else if (frame !== "") check(JSON.parse(frame));
      }
      controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  };
  return new ReadableStream(source, { highWaterMark: 0 });
}

/** One event: comments, its number, a name that is the frame's type, and one line of data. */
function checkEvent(event: string, check: (frame: unknown) => void): void {
  let name: string | null = null;
  for (const line of event.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) checkData(name, line.slice(6), check);
    else if (!/^(:|id: \d+$)/.test(line)) throw new AssertionError({ message: `no line of an event: ${line}` });
  }
}

function checkData(name: string | null, data: string, check: (frame: unknown) => void): void {
  const frame: unknown = data === END ? END : JSON.parse(data);
  check(frame);
  const type = typeof frame === "object" && frame !== null ? nameOf(frame) : null;
  if (name !== null && name !== type) throw new AssertionError({ message: `the event ${name} is named ${type}` });
}

/** A frame's type; events of the server have topics. */
function nameOf(frame: object): unknown {
  if ("type" in frame) return frame.type;
  return "topic" in frame ? frame.topic : null;
}
