// Opens libmlo and turns its conventions (owned text, error text, status codes) into TypeScript's.

import { CString, dlopen, type Pointer } from "bun:ffi";
import { NativeError } from "./native-error.ts";
import { HEADER_HASH, SYMBOLS } from "./symbols.ts";

type Symbols = ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"];

export interface Device {
  name: string;
  description: string;
  kind: "cpu" | "gpu" | "integrated-gpu" | "accelerator";
  memoryBytes: number;
  freeBytes: number;
}

export interface BenchedDevice {
  name: string;
  rates: { type: string; bytesPerSecond: number; flopsPerSecond: number }[];
}

export interface LogLine {
  level: "debug" | "info" | "warn" | "error";
  text: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const LOG_LEVELS = ["debug", "debug", "info", "warn", "error"] as const;
/** One read of the log; longer lines are cut by the shim. */
const LOG_BYTES = 64 * 1024;

/** Text as C wants it: UTF-8 with a terminator. A NUL inside would cut it short, so it is refused. */
export function toCText(text: string): Uint8Array {
  if (text.includes("\0")) throw new NativeError("text", "the text holds a NUL character");
  return encoder.encode(`${text}\0`);
}

export class NativeLibrary {
  readonly calls: Symbols;
  readonly #log = new Uint8Array(LOG_BYTES);

  private constructor(calls: Symbols) {
    this.calls = calls;
  }

  /** Opens the library file. Throws NativeError when it can't be opened or was built from another header. */
  static open(path: string): NativeLibrary {
    let calls: Symbols;
    try {
      calls = dlopen(path, SYMBOLS).symbols;
    } catch (thrown) {
      throw new NativeError("dlopen", `can't open ${path}: ${thrown instanceof Error ? thrown.message : thrown}`);
    }
    const hash = String(calls.mlo_header_hash());
    if (hash !== HEADER_HASH) {
      throw new NativeError("mlo_header_hash", `${path} was built from another mlo.h (${hash}): build again`);
    }
    return new NativeLibrary(calls);
  }

  /** The error of the call that has just failed. */
  error(call: string): NativeError {
    return new NativeError(call, String(this.calls.mlo_error()));
  }

  /** Throws unless a status code is 0 or more; returns it. */
  check(call: string, status: number): number {
    if (status < 0) throw this.error(call);
    return status;
  }

  /** Throws on a null pointer; returns the pointer. User-space addresses have 47 bits: a number holds them. */
  own(call: string, pointer: Pointer | bigint | null): Pointer {
    if (pointer === null) throw this.error(call);
    return Number(pointer) as Pointer;
  }

  /** Copies and frees owned text. */
  takeText(call: string, pointer: Pointer | bigint | null): string {
    const owned = this.own(call, pointer);
    const text = String(new CString(owned));
    this.calls.mlo_text_free(owned);
    return text;
  }

  takeJson<T>(call: string, pointer: Pointer | bigint | null): T {
    return JSON.parse(this.takeText(call, pointer)) as T;
  }

  llamaVersion(): { version: string; commit: string; compiler: string } {
    return this.takeJson("mlo_llama_version", this.calls.mlo_llama_version());
  }

  liveHandles(): Record<string, number> {
    return this.takeJson("mlo_live_handles", this.calls.mlo_live_handles());
  }

  /** How well a CPU plug-in fits this processor; 0 = not at all. */
  scorePlugin(path: string): number {
    return this.check("mlo_plugin_score", this.calls.mlo_plugin_score(toCText(path)));
  }

  /** Opens a library that plug-ins need; false when it can't be opened. */
  preload(path: string): boolean {
    return this.calls.mlo_library_preload(toCText(path)) === 0;
  }

  loadPlugin(path: string): void {
    this.check("mlo_plugin_load", this.calls.mlo_plugin_load(toCText(path)));
  }

  /** Initialises llama.cpp; every plug-in is loaded before. */
  start(): void {
    this.check("mlo_start", this.calls.mlo_start());
  }

  devices(): Device[] {
    return this.takeJson("mlo_devices", this.calls.mlo_devices());
  }

  selfTestMatmul(): void {
    this.check("mlo_selftest_matmul", this.calls.mlo_selftest_matmul());
  }

  /** Takes about two seconds. `diskPath` empty: no disk is measured. A disk's 0 means that it can't be told. */
  bench(threads: number, diskPath: string): { devices: BenchedDevice[]; diskBytesPerSecond: number } {
    return this.takeJson("mlo_bench", this.calls.mlo_bench(threads, toCText(diskPath)));
  }

  /** A guess at what follows these tokens, at most `max`; empty when there is none. */
  draftLookup(tokens: Int32Array, max: number): Int32Array {
    const draft = new Int32Array(max);
    return draft.subarray(0, this.calls.mlo_draft_lookup(tokens, tokens.length, max, draft));
  }

  /** Whether the grammar that llama.cpp makes of a JSON schema takes the text as a whole. Throws when it makes none. */
  schemaAccepts(schema: object, text: string): boolean {
    const accepts = this.calls.mlo_schema_accepts(toCText(JSON.stringify(schema)), toCText(text));
    return this.check("mlo_schema_accepts", accepts) === 1;
  }

  /** Log lines since the last call. */
  readLog(): LogLine[] {
    const lines: LogLine[] = [];
    for (;;) {
      const bytes = this.calls.mlo_log_read(this.#log, LOG_BYTES);
      if (bytes === 0) return lines;
      for (const line of decoder.decode(this.#log.subarray(0, bytes)).split("\n")) {
        const text = line.slice(1).trimEnd();
        if (text !== "" && text !== ".") lines.push({ level: LOG_LEVELS[Number(line[0])] ?? "info", text });
      }
    }
  }
}
