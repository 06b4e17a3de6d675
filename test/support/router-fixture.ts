// The router over fake engines that the test starts, fails and kills.

import { silentLogger } from "../../src/lib/log.ts";
import type { ModelEntry } from "../../src/models/entry.ts";
import type { ModelRegistry } from "../../src/models/registry.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { GenerationEvent, GenerationRequest } from "../../src/protocol/generation.ts";
import { Router } from "../../src/router/router.ts";
import { FakeClock } from "./fake-clock.ts";
import { FakeEngine, makeEntry } from "./fake-engines.ts";

export const REQUEST: GenerationRequest = { prompt: { kind: "text", text: "hi" }, sampling: {}, stop: [] };
/** What starts an engine in a test that is not about it. */
const OTHER: GenerationRequest = { ...REQUEST, prompt: { kind: "text", text: "another" } };
const BROKEN = makeEntry("broken", { error: { code: "format_unsupported", message: "not a GGUF file" } });

/** A start that the test lets succeed or fail. */
export interface Start {
  entry: ModelEntry;
  succeed(): Promise<FakeEngine>;
  fail(failure: Error): Promise<void>;
}

export class RouterFixture {
  readonly clock = new FakeClock();
  readonly starts: Start[] = [];
  /** What the registry was asked to delete and to name. */
  readonly removed: string[] = [];
  readonly aliases: [model: string, alias: string][] = [];
  readonly router: Router;
  /** What the registry lists: tests change it as files would. */
  readonly entries: ModelEntry[] = [makeEntry("a"), makeEntry("b"), BROKEN];

  constructor(sleepAfterMs = 0) {
    const { entries } = this;
    const registry = {
      list: () => entries,
      defaultEntry: () => entries[0] ?? null,
      resolve(name: string | undefined) {
        const entry = name === undefined ? entries[0] : entries.find(({ id }) => id === name);
        if (entry === undefined) throw new AppError({ code: "model_not_found", message: `no ${name}` });
        return entry;
      },
      remove: (name: string) => {
        this.removed.push(name);
        return { kind: "files", path: registry.resolve(name).path };
      },
      pin: (name: string, pinned: boolean) => Object.assign(registry.resolve(name), { pinned }),
      addAlias: (model: string, alias: string) => void this.aliases.push([model, alias]),
    };
    this.router = new Router({
      registry: registry as unknown as ModelRegistry,
      effects: { startEngine: (entry) => this.#startEngine(entry) },
      facts: {
        version: "1.0.0",
        llamaCpp: { version: "v0", commit: "abc" },
        plugins: ["libggml-cpu-x64.so"],
        skippedPlugins: [],
        contextLength: 0,
      },
      log: silentLogger,
      clock: this.clock,
      sleepAfterMs,
    });
  }

  #startEngine(entry: ModelEntry): Promise<ReturnType<FakeEngine["asProcess"]>> {
    const started = Promise.withResolvers<ReturnType<FakeEngine["asProcess"]>>();
    const engine = new FakeEngine(entry.id, 100 + this.starts.length);
    this.starts.push({
      entry,
      succeed: async () => {
        started.resolve(engine.asProcess());
        await Bun.sleep(0);
        return engine;
      },
      fail: async (failure) => {
        started.reject(failure);
        await Bun.sleep(0);
      },
    });
    return started.promise;
  }

  start(index: number): Start {
    const start = this.starts[index];
    if (start === undefined) throw new Error(`there was no start ${index}`);
    return start;
  }

  generate(model?: string, signal = new AbortController().signal, request = REQUEST) {
    return this.router.generate(model, request, signal);
  }

  /** An engine of this model that is up. */
  async up(model: string): Promise<FakeEngine> {
    const before = this.starts.length;
    const generating = this.generate(model, undefined, OTHER);
    const engine = await this.start(before).succeed();
    const { events } = await generating;
    for (const { id } of engine.generations()) engine.say(id, { type: "cancelled" });
    await readAll(events);
    return engine;
  }
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "resolved";
  } catch (thrown) {
    return thrown instanceof AppError ? thrown.code : String(thrown);
  }
}

export async function readAll(events: AsyncIterable<GenerationEvent>): Promise<GenerationEvent[]> {
  const all: GenerationEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}
