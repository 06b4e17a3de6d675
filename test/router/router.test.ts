// The router over fake engines: one engine a model, started once for all who ask, and started again after it died.

import { describe, expect, test } from "bun:test";
import { silentLogger } from "../../src/lib/log.ts";
import type { ModelEntry } from "../../src/models/entry.ts";
import type { ModelRegistry } from "../../src/models/registry.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { GenerationEvent, GenerationRequest } from "../../src/protocol/generation.ts";
import { StartFailure } from "../../src/router/engine-process.ts";
import { Router } from "../../src/router/router.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { FakeEngine, makeEntry } from "../support/fake-engines.ts";

const REQUEST: GenerationRequest = { prompt: { kind: "text", text: "hi" }, sampling: {}, stop: [] };
const BROKEN = makeEntry("broken", { error: { code: "format_unsupported", message: "not a GGUF file" } });

/** A start that the test lets succeed or fail. */
interface Start {
  entry: ModelEntry;
  succeed(): Promise<FakeEngine>;
  fail(failure: Error): Promise<void>;
}

class Fixture {
  readonly clock = new FakeClock();
  readonly starts: Start[] = [];
  readonly router: Router;

  constructor(entries: ModelEntry[] = [makeEntry("a"), makeEntry("b"), BROKEN]) {
    const registry = {
      list: () => entries,
      defaultEntry: () => entries[0] ?? null,
      resolve(name: string | undefined) {
        const entry = name === undefined ? entries[0] : entries.find(({ id }) => id === name);
        if (entry === undefined) throw new AppError({ code: "model_not_found", message: `no ${name}` });
        return entry;
      },
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

  generate(model?: string, signal = new AbortController().signal) {
    return this.router.generate(model, REQUEST, signal);
  }

  /** An engine of this model that is up. */
  async up(model: string): Promise<FakeEngine> {
    const generating = this.generate(model);
    const engine = await this.start(this.starts.length - 1).succeed();
    await generating;
    return engine;
  }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "resolved";
  } catch (thrown) {
    return thrown instanceof AppError ? thrown.code : String(thrown);
  }
}

const died = (message = "it died"): StartFailure =>
  new StartFailure(new AppError({ code: "engine_crashed", message }), true);
const refused = (): StartFailure =>
  new StartFailure(new AppError({ code: "model_damaged", message: "bad tensor" }), false);

describe("starting", () => {
  test("requests that come together start one engine", async () => {
    const fixture = new Fixture();
    const generating = [fixture.generate("a"), fixture.generate(), fixture.generate("a")];
    expect(fixture.router.resolveModel("a").state).toBe("loading");
    await Bun.sleep(0);
    expect(fixture.starts).toHaveLength(1);
    const engine = await fixture.start(0).succeed();
    const generations = await Promise.all(generating);
    expect(generations.map(({ model }) => [model.id, model.state])).toEqual(Array(3).fill(["a", "loaded"]));
    expect(engine.sent.filter((message) => message.type === "generate")).toHaveLength(3);
    await fixture.generate("a");
    expect(fixture.starts).toHaveLength(1);
  });

  test("each model has an engine of its own", async () => {
    const fixture = new Fixture();
    const [a, b] = [await fixture.up("a"), await fixture.up("b")];
    expect(fixture.starts.map(({ entry }) => entry.id)).toEqual(["a", "b"]);
    const { engines } = await fixture.router.backendInfo();
    expect(engines.map(({ pid, state, stats }) => [pid, state, stats?.running])).toEqual([
      [a.pid, "loaded", 1],
      [b.pid, "loaded", 1],
    ]);
  });

  test("a request that leaves does not end the start", async () => {
    const fixture = new Fixture();
    const controller = new AbortController();
    const leaving = codeOf(fixture.generate("a", controller.signal));
    const staying = fixture.generate("a");
    controller.abort();
    expect(await leaving).toBe("cancelled");
    await fixture.start(0).succeed();
    expect((await staying).promptTokens).toBe(1);
    expect(fixture.starts).toHaveLength(1);
  });

  test("a file that can't be served, or an unknown name, starts nothing", async () => {
    const fixture = new Fixture();
    expect(await codeOf(fixture.generate("broken"))).toBe("format_unsupported");
    expect(await codeOf(fixture.generate("nobody"))).toBe("model_not_found");
    expect(await codeOf(fixture.router.embed("broken", ["a"], new AbortController().signal))).toBe(
      "format_unsupported",
    );
    expect(fixture.starts).toHaveLength(0);
  });
});

describe("a failed load", () => {
  test("is told to all who waited, is shown, and the next request tries again", async () => {
    const fixture = new Fixture();
    const waiting = [codeOf(fixture.generate("a")), codeOf(fixture.generate("a"))];
    await fixture.start(0).fail(refused());
    expect(await Promise.all(waiting)).toEqual(["model_damaged", "model_damaged"]);
    expect(fixture.router.resolveModel("a")).toMatchObject({ state: "failed", error: "bad tensor", info: null });
    expect(fixture.router.health().status).toBe("degraded");
    await fixture.up("a");
    expect(fixture.router.resolveModel("a")).toMatchObject({ state: "loaded", error: null });
    expect(fixture.router.health().status).toBe("healthy");
  });

  test("that is a bug is passed on as it is", async () => {
    const fixture = new Fixture();
    const waiting = codeOf(fixture.generate("a"));
    await fixture.start(0).fail(new TypeError("a bug"));
    expect(await waiting).toBe("TypeError: a bug");
    expect(fixture.router.resolveModel("a").state).toBe("failed");
  });
});

describe("a death", () => {
  test("ends its requests, and the next request starts a new engine", async () => {
    const fixture = new Fixture();
    const engine = await fixture.up("a");
    const { events } = await fixture.generate("a");
    await engine.die();
    const told: GenerationEvent[] = [];
    for await (const event of events) told.push(event);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({ type: "error", error: { code: "engine_crashed" } });
    expect(JSON.stringify(told[0])).toContain("GGML_ASSERT(x) failed");
    expect(fixture.router.resolveModel("a")).toMatchObject({ state: "unloaded", info: null });
    await fixture.up("a");
    expect(fixture.starts).toHaveLength(2);
  });

  test("repeated ones are answered with a wait, which ends", async () => {
    const fixture = new Fixture();
    await (await fixture.up("a")).die();
    await (await fixture.up("a")).die();
    const refusal = await fixture.generate("a").catch((thrown: AppError) => thrown);
    expect(refusal).toMatchObject({ code: "engine_crashed", retryable: true, hint: "Try again in 1 s." });
    expect((refusal as AppError).message).toBe("The engine of a died 2 times in a row. The next one starts in 1 s.");
    expect(fixture.router.health().status).toBe("degraded");
    expect(fixture.starts).toHaveLength(2);
    await fixture.up("b");
    fixture.clock.advance(1000);
    await fixture.up("a");
    expect(fixture.starts).toHaveLength(4);
  });

  test("while loading counts, too", async () => {
    const fixture = new Fixture();
    for (let i = 0; i < 2; i++) {
      const waiting = codeOf(fixture.generate("a"));
      await fixture.start(i).fail(died());
      expect(await waiting).toBe("engine_crashed");
    }
    expect(await codeOf(fixture.generate("a"))).toBe("engine_crashed");
    expect(fixture.starts).toHaveLength(2);
  });
});

describe("stop", () => {
  test("ends all engines, also one that is still starting, and refuses what comes then", async () => {
    const fixture = new Fixture();
    const up = await fixture.up("a");
    const { events } = await fixture.generate("a");
    const late = codeOf(fixture.generate("b"));
    const stopping = fixture.router.stop();
    const starting = await fixture.start(1).succeed();
    await stopping;
    expect([up.stopping, starting.stopping]).toEqual([true, true]);
    expect(["engine_crashed", "resolved"]).toContain(await late);
    for await (const event of events) expect(event).toMatchObject({ error: { code: "engine_crashed" } });
    expect(await codeOf(fixture.generate("a"))).toBe("overloaded");
    expect(fixture.router.resolveModel("a").state).toBe("unloaded");
  });

  test("does not count as a death", async () => {
    const fixture = new Fixture();
    await fixture.up("a");
    await fixture.router.stop();
    expect(fixture.router.health().status).toBe("healthy");
  });
});

test("listings show all models, the default one marked", () => {
  const cards = new Fixture().router.listModels();
  expect(cards.map(({ id, isDefault, state }) => [id, isDefault, state])).toEqual([
    ["a", true, "unloaded"],
    ["b", false, "unloaded"],
    ["broken", false, "failed"],
  ]);
});
