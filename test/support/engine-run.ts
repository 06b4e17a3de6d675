// An engine over a backend, driven by hand: it collects what each request was told, and after every step it checks
// what must hold always. It decides nothing about schedules; the tests do.

import type { Backend } from "../../src/engine/backend.ts";
import type { KvStore } from "../../src/engine/disk/kv-store.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { EmbeddingInput, GenerationEvent, GenerationRequest } from "../../src/protocol/generation.ts";
import { isTerminal } from "../../src/protocol/generation.ts";
import type { EngineLimits, FromEngine } from "../../src/protocol/messages.ts";
import type { CacheEntry, MemoryKind } from "../../src/protocol/model-info.ts";
import { FakeBackend } from "./fake-backend.ts";
import { FakeClock } from "./fake-clock.ts";
import type { FakeOptions } from "./fake-options.ts";

/** What a request was told, in order. */
export interface Story {
  events: GenerationEvent[];
  text: string;
  /** The end, once there is one. */
  end: Extract<GenerationEvent, { type: "done" | "error" | "cancelled" }> | null;
}

export interface DriveOptions {
  itlMsMax?: number;
  speculates?: boolean;
  checkpointBytesMax?: number;
  warn?: (message: string) => void;
  /** What stands for the hashes of the adapters' files. */
  adapters?: readonly string[];
  shiftsContext?: boolean;
  store?: (backend: Backend, clock: FakeClock) => KvStore;
}

export type RunOptions = FakeOptions & DriveOptions;

/** A run that takes more steps than this hangs. */
const STEPS_MAX = 20_000;
/** No request has this id. */
const FLUSH_ID = -2;

/** An engine that flushes is busy while a job on another thread writes: after so many steps that job gets some time. */
const SPINS_MAX = 2000;

/** How long a step that had nothing to do sleeps while something real is awaited. */
const POLL_MS = 1;

/** Whoever makes one disposes of the backend. */
export class DrivenEngine<B extends Backend> implements Disposable {
  readonly backend: B;
  readonly clock = new FakeClock();
  readonly engine: Engine;
  readonly stories = new Map<number, Story>();
  readonly embeddings = new Map<number, FromEngine>();
  /** Steps in which events went out, as messages. */
  messages: FromEngine[] = [];

  constructor(backend: B, options: DriveOptions = {}) {
    const { itlMsMax = 0, speculates = false, shiftsContext = false, warn = () => {} } = options;
    const { adapters = [], checkpointBytesMax = 2 ** 29, store } = options;
    this.backend = backend;
    this.engine = new Engine(backend, this.clock, (message, payload) => this.#collect(message, payload), {
      itlMsMax,
      speculates,
      warn,
      adapters,
      shiftsContext,
      store: store?.(backend, this.clock) ?? null,
      checkpointBytesMax,
    });
  }

  generate(id: number, request: GenerationRequest): void {
    this.stories.set(id, { events: [], text: "", end: null });
    this.engine.receive({ type: "generate", id, request });
  }

  embed(id: number, inputs: EmbeddingInput[]): void {
    this.engine.receive({ type: "embed", id, inputs });
  }

  /** What the engine says of its cache now. */
  cacheEntries(): CacheEntry[] {
    this.engine.receive({ type: "cache", id: -1 });
    const answer = this.messages.findLast((message) => message.type === "cache");
    return answer?.type === "cache" ? answer.entries : [];
  }

  send(type: "cancel" | "pause" | "resume", id: number): void {
    this.engine.receive({ type, id });
  }

  story(id: number): Story {
    const story = this.stories.get(id);
    if (story === undefined) throw new Error(`request ${id} was never made`);
    return story;
  }

  adjust(limits: EngineLimits): void {
    this.engine.receive({ type: "adjust", limits });
  }

  step(): void {
    this.clock.advance(1);
    this.engine.step();
    this.checkAlways();
  }

  /** Steps until nothing can go on without a message. Tasks of the fake end after some polls, so idle steps count. */
  settle(idleSteps = 8): void {
    let idle = 0;
    for (let step = 0; idle < idleSteps; step++) {
      if (step > STEPS_MAX) throw new Error(`the engine did not settle in ${STEPS_MAX} steps`);
      idle = this.engine.restMs === 0 ? 0 : idle + 1;
      this.step();
    }
  }

  /** Steps until this holds, in real time: jobs on other threads are waited for. */
  stepUntil(holds: () => boolean): void {
    for (let step = 0; !holds(); step++) {
      if (step > STEPS_MAX) {
        const state = JSON.stringify(this.engine.stats());
        throw new Error(`what was awaited did not come in ${STEPS_MAX} steps: ${state}`);
      }
      if (this.engine.restMs > 0 || step > SPINS_MAX) Bun.sleepSync(POLL_MS);
      this.step();
    }
  }

  /** Steps until every request has ended. */
  finish(): void {
    this.stepUntil(() => [...this.stories.values()].every(({ end }) => end !== null));
  }

  /** Steps until all that is kept is on disk. */
  flush(): void {
    this.messages = this.messages.filter(({ type }) => type !== "flushed");
    this.engine.receive({ type: "flush", id: FLUSH_ID });
    this.stepUntil(() => this.messages.some(({ type }) => type === "flushed"));
  }

  /** Our count of cells is the backend's, and nobody exceeds what there is. */
  checkAlways(): void {
    const { ledger, cells, running, retained } = this.engine.stats();
    checkCells(this.backend.info.memory, ledger.used, running + retained.sequences, cells);
    if (ledger.used > ledger.total) throw new Error(`${ledger.used} of ${ledger.total} cells`);
    if (running > this.backend.info.parallel) throw new Error(`${running} sequences run at once`);
  }

  /** Nothing is open, so nothing may be held. */
  checkEmpty(): void {
    const { waiting, running, paused, ledger, retained, checkpoints, handles } = this.engine.stats();
    // Kept sequences share cells, so they may hold fewer than they have tokens; without any, nothing is held.
    const cells = retained.sequences === 0 ? ledger.used : Math.max(0, ledger.used - retained.tokens);
    const state = (handles.state ?? 0) - checkpoints.count;
    const held = { waiting, running, paused, cells, ...handles, state };
    const left = Object.entries(held).filter(([, count]) => count !== 0);
    if (left.length > 0) throw new Error(`left behind: ${JSON.stringify(Object.fromEntries(left))}`);
    if (this.engine.restMs === 0) throw new Error("an empty engine is busy");
  }

  #collect(message: FromEngine, payload: Uint8Array | undefined): void {
    this.messages.push(message);
    if (message.type === "embeddings" || message.type === "refused") {
      if (this.embeddings.has(message.id)) throw new Error(`embedding ${message.id} was answered twice`);
      this.embeddings.set(message.id, message);
      const expected = message.type === "embeddings" ? message.count * message.dimensions * 4 : 0;
      if ((payload?.byteLength ?? 0) !== expected) throw new Error(`a payload of ${payload?.byteLength} bytes`);
    }
    if (message.type === "events") for (const [id, event] of message.events) this.#tell(this.story(id), event, id);
  }

  #tell(story: Story, event: GenerationEvent, id: number): void {
    if (story.end !== null) throw new Error(`request ${id} was told ${event.type} after ${story.end.type}`);
    if (event.type === "started" && story.events.length > 0) throw new Error(`request ${id} started late`);
    if (event.type === "delta" && story.events.length === 0) throw new Error(`request ${id} did not start`);
    story.events.push(event);
    if (event.type === "delta") story.text += event.text ?? "";
    if (isTerminal(event)) story.end = event as Story["end"];
  }

  [Symbol.dispose](): void {
    this.engine[Symbol.dispose]();
  }
}

/** An engine over a fake backend of its own. */
export class EngineRun extends DrivenEngine<FakeBackend> {
  constructor(options: RunOptions = {}) {
    super(new FakeBackend(options), options);
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.backend[Symbol.dispose]();
  }
}

/** The ledger counts tokens. A recurrent cache counts states instead, at most one a sequence; a window forgets some. */
function checkCells(memory: MemoryKind, used: number, sequences: number, cells: { used: number }[]): void {
  const [first = -1, second = -1] = cells.map((cache) => cache.used);
  const states = memory === "recurrent" ? first : second;
  const isRight = {
    recurrent: used >= first,
    hybrid: used === first,
    sliding: used === first && second <= first,
    plain: used === first,
    other: used === first,
    none: true,
  }[memory];
  if (!isRight) throw new Error(`the ledger counts ${used} cells, the backend ${first} and ${second}`);
  if (memory !== "recurrent" && memory !== "hybrid") return;
  // Cells of attention that are read from disk have no state yet; their sequence does not run before it has one.
  if (states > sequences || (states > 0 && used === 0) || (memory === "recurrent" && states === 0 && used > 0)) {
    throw new Error(`the backend has ${states} states, of ${sequences} sequences with ${used} tokens`);
  }
}

/** What a request gives when nobody else is there and memory is plenty. */
export function runAlone(request: GenerationRequest, options: RunOptions = {}): Story {
  using run = new EngineRun({ ...options, contextLength: 4096, batchSize: 4096 });
  run.generate(1, request);
  run.settle();
  run.checkEmpty();
  return run.story(1);
}

/** A story without what hangs on time. */
export function outcome(story: Story): object {
  const { end, text } = story;
  if (end === null || end.type !== "done") return { end, text };
  const { finishReason, usage, stopString } = end;
  // Where the prompt's KV came from hangs on who else was there.
  return { finishReason, usage: { ...usage, cachedTokens: 0 }, stopString, text };
}
