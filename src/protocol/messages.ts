// Messages between the server and an engine, both directions. Versioned: both ends are the same
// binary, so a mismatch is a bug and ends the engine at once.
// A frame is [u32 header bytes][u32 payload bytes][header JSON][payload], little-endian.

import type { ErrorBody } from "./errors.ts";
import type { EmbeddingInput, GenerationEvent, GenerationRequest } from "./generation.ts";
import type { KvType } from "./memory-need.ts";
import type { CacheEntry, EngineStats, LoadedModelInfo, Pooling } from "./model-info.ts";
import type { TextAnswerHead, TextQuestion } from "./text-question.ts";

export const PROTOCOL_VERSION = 3;

/** Largest header or payload: the 32 MiB body limit, twice over for JSON escapes. */
export const FRAME_BYTES_MAX = 64 * 1024 * 1024;

export interface EngineSettings {
  modelPath: string;
  /** Absolute paths, in load order. */
  plugins: string[];
  /** KV tokens; 0 = chosen by the engine from the trained context. */
  contextLength: number;
  /** Sequences that run at once; 0 = chosen by the engine. */
  parallel: number;
  batchSize: number;
  microBatchSize: number;
  threads: number;
  gpuLayers: number;
  /** Of the layers on devices, how these share them, in their order: sums up to 1; absent or empty: by free memory. */
  deviceShares?: readonly number[];
  /** Of a mixture of experts: so many of the first layers keep theirs in host memory. Default 0. */
  hostExpertLayers?: number;
  /** Of keys and values; default f16. */
  kvType?: KvType;
  /** Of embeddings; absent: the model's own. */
  pooling?: Pooling;
  /** Longest gap between two tokens of a stream that prompts of others may cause; 0 = from the measured rates. */
  itlMsMax: number;
  /** Whether sequences guess ahead, from what they repeat of themselves. */
  speculates: boolean;
  /** A smaller model that guesses too; null = none. */
  draft: DraftSettings | null;
  /** Guesses with the model's own prediction layers (MTP), where it has some; absent or null: it does without. */
  head?: HeadSettings | null;
  /** Whether a full context drops its middle, where a request does not say it. Default false. */
  shiftsContext?: boolean;
  /** Ended sequences whose KV is kept in memory. */
  retainedMax: number;
  /** Memory of recurrent states kept at places of prompts; absent: chosen by the engine from the machine's. */
  checkpointBytesMax?: number;
  /** Where KV state is kept on disk; null = nowhere. */
  kvStore: KvStoreSettings | null;
  /** LoRA adapters' files, in the order of their ids. */
  adapters: string[];
}

export interface DraftSettings {
  modelPath: string;
  /** Longest guess. */
  tokensMax: number;
  /** A guess ends before a token that is less likely; absent: a value that pays. */
  probabilityMin?: number;
}

export interface HeadSettings {
  /** Longest guess. */
  tokensMax: number;
  /** A model that can't is refused. */
  required: boolean;
  /** As of a draft model. */
  probabilityMin?: number;
}

export interface KvStoreSettings {
  folder: string;
  bytesMax: number;
  /** All that shapes the bytes and that the engine does not know itself: build, patches, plug-ins. */
  buildKey: string;
}

/** What a one-shot child can be asked. */
export type JobQuestion =
  | { job: "scores"; plugins: string[] }
  | { job: "selftest"; plugin: string; modelPath: string }
  | ({ job: "quantize" } & QuantizeSettings);

export interface QuantizeSettings {
  /** The first part of a GGUF file. */
  source: string;
  /** What is there after a failure is rubbish. */
  target: string;
  /** llama.cpp's number of the type. */
  fileType: number;
  /** Path of an importance matrix; null = none. */
  imatrix: string | null;
  allowRequantize: boolean;
  threads: number;
  /** Of rows that are in memory at once. */
  bufferBytes: number;
}

export type JobAnswer =
  | { job: "scores"; scores: { path: string; score: number; error?: string }[] }
  | { job: "selftest"; devices: string[] }
  | { job: "quantize" };

export type ToEngine =
  | { type: "ask"; version: number; question: JobQuestion }
  | { type: "load"; version: number; settings: EngineSettings }
  | { type: "generate"; id: number; request: GenerationRequest }
  /** With the prompt of the `generate` before it: see prompt-reuse.ts. */
  | { type: "generate-again"; id: number; request: Omit<GenerationRequest, "prompt"> }
  | { type: "embed"; id: number; inputs: EmbeddingInput[] }
  | { type: "tell"; id: number; question: TextQuestion }
  | { type: "cancel"; id: number }
  /** The reader is behind: keep the sequence, decode nothing for it until `resume`. */
  | { type: "pause"; id: number }
  | { type: "resume"; id: number }
  | { type: "stats"; id: number }
  | { type: "cache"; id: number }
  /** The engine will be stopped: write what is worth keeping, then say `flushed`. Requests may still come. */
  | { type: "flush"; id: number }
  | { type: "shutdown" };

export type FromEngine =
  | { type: "progress"; fraction: number }
  | { type: "ready"; version: number; info: LoadedModelInfo }
  | { type: "failed"; error: ErrorBody }
  | { type: "answer"; answer: JobAnswer }
  /** All events of one step, for all sequences. */
  | { type: "events"; events: [id: number, event: GenerationEvent][] }
  /** Payload: `count` vectors of `dimensions` float32, one after the other. */
  | { type: "embeddings"; id: number; count: number; dimensions: number; promptTokens: number }
  /** Payload: what `packTextAnswer` made. */
  | ({ type: "told"; id: number } & TextAnswerHead)
  | { type: "refused"; id: number; error: ErrorBody }
  | { type: "stats"; id: number; stats: EngineStats }
  | { type: "cache"; id: number; entries: CacheEntry[] }
  | { type: "flushed"; id: number };

export interface Frame<M> {
  message: M;
  payload: Uint8Array;
}

const HEAD_BYTES = 8;
const NO_PAYLOAD = new Uint8Array(0);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One frame's bytes, ready to be written. Throws RangeError when it is over the limit. */
export function encodeFrame(message: ToEngine | FromEngine, payload: Uint8Array = NO_PAYLOAD): Uint8Array {
  const header = encoder.encode(JSON.stringify(message));
  if (header.byteLength > FRAME_BYTES_MAX || payload.byteLength > FRAME_BYTES_MAX) {
    throw new RangeError(`a message of ${header.byteLength + payload.byteLength} bytes is over the frame limit`);
  }
  const frame = new Uint8Array(HEAD_BYTES + header.byteLength + payload.byteLength);
  const view = new DataView(frame.buffer);
  view.setUint32(0, header.byteLength, true);
  view.setUint32(4, payload.byteLength, true);
  frame.set(header, HEAD_BYTES);
  frame.set(payload, HEAD_BYTES + header.byteLength);
  return frame;
}

/** Cuts a byte stream into frames; keeps what is incomplete for the next push. */
export class FrameDecoder<M extends ToEngine | FromEngine> {
  /** Chunks of the frame that is incomplete: joined once, when the last of them has come. */
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  /** Bytes that the next frame needs, as far as known. */
  #needed = HEAD_BYTES;

  push(chunk: Uint8Array): Frame<M>[] {
    this.#bytes += chunk.byteLength;
    if (this.#bytes < this.#needed) {
      this.#chunks.push(copy(chunk));
      return [];
    }
    this.#chunks.push(chunk);
    const bytes = join(this.#chunks, this.#bytes);
    const frames: Frame<M>[] = [];
    let at = 0;
    for (;;) {
      const head = readHead(bytes, at);
      this.#needed = head === null ? HEAD_BYTES : HEAD_BYTES + head.header + head.payload;
      if (head === null || at + this.#needed > bytes.byteLength) break;
      const body = at + HEAD_BYTES + head.header;
      frames.push({
        message: JSON.parse(decoder.decode(bytes.subarray(at + HEAD_BYTES, body))) as M,
        payload: head.payload === 0 ? NO_PAYLOAD : copy(bytes.subarray(body, body + head.payload)),
      });
      at += this.#needed;
    }
    this.#chunks = at < bytes.byteLength ? [copy(bytes.subarray(at))] : [];
    this.#bytes = bytes.byteLength - at;
    return frames;
  }
}

function readHead(bytes: Uint8Array, at: number): { header: number; payload: number } | null {
  if (bytes.byteLength - at < HEAD_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at);
  const [header, payload] = [view.getUint32(0, true), view.getUint32(4, true)];
  if (header <= FRAME_BYTES_MAX && payload <= FRAME_BYTES_MAX) return { header, payload };
  throw new RangeError("a frame over the limit arrived: the peer is not an ml-offload process");
}

/**
 * Bytes of their own: the chunk may belong to a buffer that its owner reuses. Not `slice`: sockets give a `Buffer`,
 * whose `slice` is a view, and one that starts anywhere can't be read as float32.
 */
function copy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

function join(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const [first] = chunks;
  if (chunks.length === 1 && first !== undefined) return first;
  const all = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}
