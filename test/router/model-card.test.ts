// Cards: what is known is shown, and what is not is null.

import { describe, expect, test } from "bun:test";
import { NO_CAPABILITIES } from "../../src/models/capability.ts";
import type { ModelEntry } from "../../src/models/entry.ts";
import { NEW_SLOT, onDeath, onReady, onSlept, onStart, type Slot } from "../../src/router/engines/slot.ts";
import { toCard } from "../../src/router/model-card.ts";
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
