// Frames: whole whatever the socket makes of them, with bytes of their own, and none over the limit.

import { describe, expect, test } from "bun:test";
import {
  encodeFrame,
  FRAME_BYTES_MAX,
  type Frame,
  FrameDecoder,
  type FromEngine,
  type ToEngine,
} from "../../src/protocol/messages.ts";

const progress: FromEngine = { type: "progress", fraction: 0.5 };
const events: FromEngine = { type: "events", events: [[3, { type: "delta", text: 'é🙂 \0 "' }]] };
const embeddings: FromEngine = { type: "embeddings", id: 1, count: 1, dimensions: 2, promptTokens: 3 };

function join(...chunks: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(chunks));
}

const vector = new Uint8Array(Float32Array.of(1.5, -2).buffer);
const stream = join(encodeFrame(progress), encodeFrame(embeddings, vector), encodeFrame(events));

function checkFrames(frames: Frame<FromEngine>[]): void {
  expect(frames.map((frame) => frame.message)).toEqual([progress, embeddings, events]);
  expect(frames.map((frame) => frame.payload.byteLength)).toEqual([0, 8, 0]);
  const { buffer, byteOffset } = (frames[1] as Frame<FromEngine>).payload;
  expect([...new Float32Array(buffer, byteOffset, 2)]).toEqual([1.5, -2]);
}

describe("FrameDecoder", () => {
  test("gives whole frames wherever the stream is cut", () => {
    for (let cut = 0; cut <= stream.byteLength; cut++) {
      const decoder = new FrameDecoder<FromEngine>();
      checkFrames([...decoder.push(stream.subarray(0, cut)), ...decoder.push(stream.subarray(cut))]);
    }
    for (const size of [1, 2, 3, 7, 11, stream.byteLength]) {
      const decoder = new FrameDecoder<FromEngine>();
      const frames: Frame<FromEngine>[] = [];
      for (let at = 0; at < stream.byteLength; at += size) frames.push(...decoder.push(stream.subarray(at, at + size)));
      checkFrames(frames);
    }
  });

  test("takes a Buffer, as sockets give it, at any offset", () => {
    for (let offset = 0; offset < 9; offset++) {
      const padded = Buffer.concat([Buffer.alloc(offset), stream]);
      checkFrames(new FrameDecoder<FromEngine>().push(padded.subarray(offset)));
    }
  });

  test("keeps nothing of a chunk whose owner uses it again", () => {
    for (const reused of [new Uint8Array(stream.byteLength), Buffer.alloc(stream.byteLength)]) {
      const decoder = new FrameDecoder<FromEngine>();
      const frames: Frame<FromEngine>[] = [];
      for (let at = 0; at < stream.byteLength; at += 50) {
        const piece = stream.subarray(at, at + 50);
        reused.set(piece);
        frames.push(...decoder.push(reused.subarray(0, piece.byteLength)));
        reused.fill(0xee);
      }
      checkFrames(frames);
    }
  });

  test("carries a large payload in many chunks", () => {
    const payload = new Uint8Array(20 * 1024 * 1024).map((_, i) => i * 31);
    const frame = encodeFrame(embeddings, payload);
    const decoder = new FrameDecoder<FromEngine>();
    const frames: Frame<FromEngine>[] = [];
    for (let at = 0; at < frame.byteLength; at += 64 * 1024)
      frames.push(...decoder.push(frame.subarray(at, at + 65536)));
    expect(frames).toHaveLength(1);
    expect(Bun.hash(frames[0]?.payload ?? "")).toBe(Bun.hash(payload));
  });

  test("refuses a frame over the limit as soon as its head is there", () => {
    for (const field of [0, 4]) {
      const head = new Uint8Array(8);
      new DataView(head.buffer).setUint32(field, FRAME_BYTES_MAX + 1, true);
      expect(() => new FrameDecoder().push(head)).toThrow(RangeError);
      const second = join(encodeFrame(progress), head);
      expect(() => new FrameDecoder().push(second)).toThrow(RangeError);
    }
  });

  test("refuses what is not JSON", () => {
    const broken = encodeFrame(progress);
    broken[8] = 0x21;
    expect(() => new FrameDecoder().push(broken)).toThrow(SyntaxError);
  });
});

describe("encodeFrame", () => {
  test("refuses what is over the limit", () => {
    expect(() => encodeFrame(embeddings, new Uint8Array(FRAME_BYTES_MAX + 1))).toThrow(RangeError);
    const request = { prompt: { kind: "text" as const, text: "x".repeat(FRAME_BYTES_MAX) }, sampling: {}, stop: [] };
    expect(() => encodeFrame({ type: "generate", id: 1, request } satisfies ToEngine)).toThrow("over the frame limit");
  });

  test("does not keep the payload's memory", () => {
    const payload = Uint8Array.of(1, 2, 3);
    const frame = encodeFrame(embeddings, payload);
    payload.fill(9);
    expect([...frame.subarray(-3)]).toEqual([1, 2, 3]);
  });
});
