// Health: one list of troubles, each named once with its reason and its fix, and gone when it is over.

import { describe, expect, test } from "bun:test";
import { NEW_SLOT, onDeath, onReady, onStart, type Slot } from "../../src/router/engines/slot.ts";
import { describeHealth, type SlotState } from "../../src/router/health.ts";

const starting = onStart(NEW_SLOT);
const ready = onReady(starting, 0);
const cooling = onDeath(onStart(onDeath(starting, 0)), 0);

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
      troubles: [],
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

  test("what others found is told with its fix, and makes it degraded", () => {
    const trouble = { subject: "cuda:0", reason: "the driver is missing", fix: "Install the driver." };
    const told = describeHealth([state("a", ready), state("b", cooling)], BACKENDS, 500, [trouble]);
    expect(told.status).toBe("degraded");
    expect(told.troubles[0]).toEqual(trouble);
    expect(told.backends.llamacpp.details).toContain("; cuda:0: the driver is missing");
    expect(told.troubles[1]).toMatchObject({ subject: "b", reason: "its engine died repeatedly" });
    expect(told.troubles).toHaveLength(2);
  });

  test("each trouble says how it is mended", () => {
    const all = describeHealth(
      [state("a", cooling), state("b", NEW_SLOT, "bad")],
      { ...BACKENDS, fallback: "cpu" },
      500,
    );
    expect(all.troubles.map(({ subject }) => subject)).toEqual([null, "a", "b"]);
    for (const { fix } of all.troubles) expect(fix).not.toBe("");
  });

  test("trouble that is over is over", () => {
    expect(describeHealth([state("a", cooling)], BACKENDS, 60_000).status).toBe("healthy");
    expect(health(state("a", ready, "an old reason")).status).toBe("healthy");
  });
});
