// Cards and health: what is known is shown, what is not is null, and trouble is named.

import { describe, expect, test } from "bun:test";
import { NO_CAPABILITIES } from "../../src/models/capability.ts";
import type { ModelEntry } from "../../src/models/entry.ts";
import { describeHealth, type SlotState, toCard } from "../../src/router/model-card.ts";
import { NEW_SLOT, onDeath, onReady, onSlept, onStart, type Slot } from "../../src/router/slot.ts";
import { FakeBackend } from "../support/fake-backend.ts";
import { makeEntry } from "../support/fake-engines.ts";

const { info } = new FakeBackend({ contextLength: 512, sequenceContextLength: 300 });
const starting = onStart(NEW_SLOT);
const ready = onReady(starting, 0);
const cooling = onDeath(onStart(onDeath(starting, 0)), 0);

const card = (entry: Partial<ModelEntry>, runtime: Partial<Parameters<typeof toCard>[1]> = {}, contextLength = 0) =>
  toCard(
    makeEntry("m", entry),
    {
      slot: NEW_SLOT,
      waits: false,
      error: null,
      info: null,
      isDefault: false,
      sleepsInMs: null,
      backend: null,
      ...runtime,
    },
    { contextLength },
  );

describe("toCard", () => {
  test.each([
    [{ trainedContextLength: 131_072 }, 0, 16_384],
    [{ trainedContextLength: 4096 }, 0, 4096],
    [{ trainedContextLength: 4096 }, 100_000, 4096],
    [{ trainedContextLength: 4096 }, 1000, 1000],
    [{ trainedContextLength: null }, 1000, 1000],
    [{ trainedContextLength: null }, 0, null],
  ] as const)("a request may use: %j with --ctx %d gives %p", (entry, asked, expected) => {
    expect(card(entry, {}, asked).contextLength).toBe(expected);
  });

  test.each([
    [{ embeddingPooling: "last", pooling: null }, undefined, "last", true],
    [{ embeddingPooling: "last", pooling: null }, "mean", "mean", true],
    [{ embeddingPooling: "rank", pooling: "rank" }, undefined, "rank", false],
    [{ embeddingPooling: "rank", pooling: "rank" }, "cls", "cls", true],
    [{ embeddingPooling: "mean", pooling: "mean" }, "none", "none", false],
    [{ embeddingPooling: null, pooling: null }, "mean", null, false],
  ] as const)("embeddings: %j with --pooling %s", (entry, pooling, expected, embedding) => {
    const settings = pooling === undefined ? { contextLength: 0 } : { contextLength: 0, pooling };
    const runtime = {
      slot: NEW_SLOT,
      waits: false,
      error: null,
      info: null,
      isDefault: false,
      sleepsInMs: null,
      backend: null,
    };
    const made = toCard(makeEntry("m", entry), runtime, settings);
    expect(made).toMatchObject({ embeddingPooling: expected, capabilities: { embedding } });
    expect(made.poolingIsSet).toBe(pooling !== undefined && expected !== null);
  });

  test("--pooling rank is not for a chat model; whether it has a head shows when it is loaded", () => {
    const made = (loaded: typeof info | null) =>
      toCard(
        makeEntry("m", {
          embeddingPooling: "last",
          capabilities: { ...NO_CAPABILITIES, chat: true, completion: true, embedding: true },
        }),
        { slot: ready, waits: false, error: null, info: loaded, isDefault: false, sleepsInMs: null, backend: null },
        { contextLength: 0, pooling: "rank" },
      );
    const known = { embeddingPooling: null, poolingIsSet: false, capabilities: { chat: true, embedding: true } };
    expect(made(null)).toMatchObject(known);
    expect(made({ ...info, pooling: "last" })).toMatchObject({ ...known, embeddingPooling: "last" });
    const ranks = { embeddingPooling: "rank", poolingIsSet: true, capabilities: { embedding: false } };
    expect(made({ ...info, pooling: "rank" })).toMatchObject(ranks);
  });

  test("a loaded model tells its own context", () => {
    expect(card({ trainedContextLength: 4096 }, { slot: ready, info }).contextLength).toBe(300);
  });

  test.each([
    [NEW_SLOT, null, "unloaded"],
    [starting, null, "loading"],
    [ready, null, "loaded"],
    [cooling, null, "failed"],
    [onSlept(ready), null, "asleep"],
    [NEW_SLOT, "out of memory", "failed"],
    [starting, "out of memory", "loading"],
  ] as [Slot, string | null, string][])("its state with %j and error %p is %s", (slot, error, state) => {
    expect(card({}, { slot, error })).toMatchObject({ state, error });
  });

  test("a file that can't be served has failed, with its reason", () => {
    const error = { code: "format_unsupported" as const, message: "This is a safetensors file." };
    expect(card({ error })).toMatchObject({ state: "failed", error: error.message });
  });
});

const BACKENDS = { plugins: ["libggml-cpu-x64.so"], skippedPlugins: [] };

describe("describeHealth", () => {
  test("a back end that is not used is named with its reason", () => {
    const skippedPlugins = [{ file: "libggml-cuda.so", reason: "can't load it\nlibcudart.so.13: cannot open" }];
    const health = describeHealth([], { ...BACKENDS, skippedPlugins }, 0);
    expect(health.backends.llamacpp.details).toContain("without libggml-cuda.so: libcudart.so.13: cannot open");
  });

  test("another back end than the one that was asked for first is degraded", () => {
    const health = describeHealth([], { ...BACKENDS, fallback: "cpu in place of cuda" }, 0);
    expect(health.status).toBe("degraded");
    expect(health.backends.llamacpp.details).toContain("; cpu in place of cuda");
  });

  test("one model's engine that computes elsewhere than asked for is degraded, while it is up", () => {
    const engine = { backend: { fallback: "cpu in place of vulkan" } };
    const up: SlotState = { id: "m", slot: ready, error: null, engine };
    expect(describeHealth([up], BACKENDS, 0)).toMatchObject({ status: "degraded" });
    expect(describeHealth([up], BACKENDS, 0).backends.llamacpp.details).toContain("; m: cpu in place of vulkan");
    expect(describeHealth([{ ...up, slot: NEW_SLOT, engine: null }], BACKENDS, 0).status).toBe("healthy");
    // The server's own setting is not repeated for each model that has it.
    const details = describeHealth([up], { ...BACKENDS, ...engine.backend }, 0).backends.llamacpp.details;
    expect(details.match(/cpu in place of vulkan/g)).toHaveLength(1);
  });

  const state = (id: string, slot: Slot, error: string | null = null): SlotState => ({ id, slot, error, engine: null });
  const health = (...states: SlotState[]) => describeHealth(states, BACKENDS, 500);

  test("nothing loaded yet is healthy: an engine can be started", () => {
    expect(health()).toEqual({
      status: "healthy",
      backends: {
        llamacpp: { available: true, ready: true, details: "0 engines up; backends libggml-cpu-x64.so" },
      },
    });
    expect(health(state("a", ready)).backends.llamacpp.details).toStartWith("1 engine up;");
  });

  test("an engine that cools off, or a failed load, is degraded and named once", () => {
    expect(health(state("a", cooling), state("b", ready))).toMatchObject({ status: "degraded" });
    expect(health(state("a", cooling)).backends.llamacpp.details).toContain("a: its engine died repeatedly");
    const both = health(state("a", cooling, "no memory")).backends.llamacpp.details;
    expect(both.match(/a: /g)).toHaveLength(1);
    expect(both).toContain("a: no memory");
  });

  test("trouble that is over is over", () => {
    expect(describeHealth([state("a", cooling)], BACKENDS, 60_000).status).toBe("healthy");
    expect(health(state("a", ready, "an old reason")).status).toBe("healthy");
  });
});
