// Engines without processes, for the router's tests: each start is decided by the test, and so is each death.

import type { ModelEntry } from "../../src/models/entry.ts";
import { UNKNOWN_MANIFEST } from "../../src/models/manifest.ts";
import type { BackendUse } from "../../src/protocol/backends.ts";
import type { ErrorBody } from "../../src/protocol/errors.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { GenerationEvent } from "../../src/protocol/generation.ts";
import type { FromEngine, ToEngine } from "../../src/protocol/messages.ts";
import type { CacheEntry, EngineStats, LoadedModelInfo } from "../../src/protocol/model-info.ts";
import { NO_SETTINGS } from "../../src/protocol/model-settings.ts";
import type { ExitReason } from "../../src/router/children/child.ts";
import { EngineClient } from "../../src/router/engines/engine-client.ts";
import { crashError, type EngineProcess } from "../../src/router/engines/engine-process.ts";
import { FakeBackend } from "./fake-backend.ts";

export function makeEntry(id: string, changes: Partial<ModelEntry> = {}): ModelEntry {
  const path = `/models/${id}.gguf`;
  return {
    ...UNKNOWN_MANIFEST,
    id,
    aliases: [],
    givenNames: [],
    path,
    files: [path],
    created: 1_700_000_000,
    sizeBytes: 1000,
    companions: [],
    error: null,
    explicit: false,
    conversion: null,
    demo: false,
    place: "models-dir",
    described: null,
    settings: NO_SETTINGS,
    engineKey: path,
    pinned: false,
    ...changes,
  };
}

export function makeCacheEntry(changes: Partial<CacheEntry> = {}): CacheEntry {
  return {
    state: "retained",
    tokens: 8,
    durableTokens: 0,
    session: null,
    lora: [],
    idleMs: 5,
    preview: "Once",
    ...changes,
  };
}

/** What listings look at. */
const STATS: Partial<EngineStats> = {
  running: 1,
  waiting: 0,
  evaluatedTokens: 7,
  decodedTokens: 14,
  ledger: { total: 100, used: 21 },
  times: { stepMs: 500, decodeMs: 0, sampleMs: 0, sendMs: 0 },
};

/** Looks like an EngineProcess to the router; accepts every prompt at once, and then says what the test tells it. */
export class FakeEngine {
  readonly sent: ToEngine[] = [];
  readonly client = new EngineClient((message) => this.#receive(message));
  readonly info: LoadedModelInfo = new FakeBackend().info;
  backend: BackendUse = { wanted: [], used: ["cpu"], fallback: null, skipped: [] };
  readonly exited: Promise<ExitReason>;
  stopping = false;
  /** Off: the test says `started` itself. */
  accepts = true;
  /** Off: it is too busy to say what it does. */
  answers = true;
  /** Off: the test answers embeddings itself. */
  embeds = false;
  /** What it says to embeddings in place of an answer. */
  embedRefusal: ErrorBody | null = null;
  /** What it says that it keeps. */
  entries: CacheEntry[] = [makeCacheEntry()];
  /** Off: the test says `flushed` itself, or never. */
  flushes = true;
  readonly #exit = Promise.withResolvers<ExitReason>();

  constructor(
    readonly modelId: string,
    readonly pid: number,
  ) {
    this.exited = this.#exit.promise;
  }

  #receive(message: ToEngine): void {
    this.sent.push(message);
    if (message.type === "generate" && this.accepts) this.accept(message.id);
    if (message.type === "cache" && this.answers) this.tell({ type: "cache", id: message.id, entries: this.entries });
    if (message.type === "flush" && this.flushes) this.tell({ type: "flushed", id: message.id });
    if (message.type === "embed") this.#embed(message.id, message.inputs.length);
    if (message.type === "stats" && this.answers) {
      this.tell({ type: "stats", id: message.id, stats: STATS as never });
    }
  }

  /** As many vectors, of one number each. */
  #embed(id: number, count: number): void {
    if (this.embedRefusal !== null) this.tell({ type: "refused", id, error: this.embedRefusal });
    if (this.embedRefusal !== null || !this.embeds) return;
    const message: FromEngine = { type: "embeddings", id, count, dimensions: 1, promptTokens: count };
    this.client.receive({ message, payload: new Uint8Array(new Float32Array(count).fill(1).buffer) });
  }

  /** The requests that it got, in order. */
  generations(): Extract<ToEngine, { type: "generate" }>[] {
    return this.sent.filter((message) => message.type === "generate");
  }

  get lastId(): number {
    return this.generations().at(-1)?.id ?? 0;
  }

  accept(id: number): void {
    this.say(id, { type: "started", promptTokens: 1, cache: null });
  }

  say(id: number, ...events: GenerationEvent[]): void {
    this.tell({ type: "events", events: events.map((event): [number, GenerationEvent] => [id, event]) });
  }

  tell(message: FromEngine): void {
    this.client.receive({ message, payload: new Uint8Array(0) });
  }

  /** As the kernel would end it. */
  async die(): Promise<void> {
    const reason: ExitReason = { code: null, signal: "SIGKILL", lastLines: ["GGML_ASSERT(x) failed"] };
    this.client.fail(crashError(this.modelId, reason));
    this.#exit.resolve(reason);
    await this.exited;
  }

  async stop(): Promise<void> {
    this.stopping = true;
    this.client.fail(new AppError({ code: "engine_crashed", message: "stopped" }));
    this.#exit.resolve({ code: 0, signal: null, lastLines: [] });
    await this.exited;
  }

  /** The class has private parts that only a real process has. */
  asProcess(): EngineProcess {
    return this as unknown as EngineProcess;
  }
}
