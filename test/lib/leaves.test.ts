// The small leaves: assertions, folders, nearest names, the SSE reader, the fake clock that tests rely on.

import { describe, expect, test } from "bun:test";
import { AssertionFailed, assert } from "../../src/lib/assert.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { editDistance, findNearest } from "../../src/lib/nearest.ts";
import { expandHome, resolveFolders } from "../../src/lib/paths.ts";
import { readSseData } from "../../src/lib/sse-reader.ts";
import { FakeClock } from "../support/fake-clock.ts";

test("assertions throw, and only when they fail", () => {
  assert("something", "fine");
  expect(() => assert(null, "something")).toThrow(AssertionFailed);
});

describe("folders", () => {
  test("by the XDG defaults", () => {
    expect(resolveFolders({ HOME: "/home/a" })).toEqual({
      config: "/home/a/.config/ml-offload",
      data: "/home/a/.local/share/ml-offload",
      state: "/home/a/.local/state/ml-offload",
      cache: "/home/a/.cache/ml-offload",
    });
  });

  test("by the variables; empty and relative ones do not count", () => {
    const env = { HOME: "/h", XDG_CONFIG_HOME: "/c", XDG_DATA_HOME: "", XDG_STATE_HOME: "rel", XDG_CACHE_HOME: "/k" };
    expect(resolveFolders(env)).toEqual({
      config: "/c/ml-offload",
      data: "/h/.local/share/ml-offload",
      state: "/h/.local/state/ml-offload",
      cache: "/k/ml-offload",
    });
  });

  test("without HOME the system is asked", () => {
    expect(resolveFolders({}, () => "/from-system").data).toBe("/from-system/.local/share/ml-offload");
    expect(expandHome("~/x", {}, () => "/from-system")).toBe("/from-system/x");
    expect(expandHome("~", { HOME: "/h" })).toBe("/h");
    expect(expandHome("~other/x", { HOME: "/h" })).toBe("~other/x");
  });
});

describe("nearest names", () => {
  test("edits are counted, a swap is one", () => {
    expect(editDistance("serve", "serve")).toBe(0);
    expect(editDistance("sevre", "serve")).toBe(1);
    expect(editDistance("", "abc")).toBe(3);
    expect(editDistance("kitten", "sitting")).toBe(3);
  });

  test("the nearest come first, strangers not at all", () => {
    expect(findNearest("prot", ["port", "host", "parallel"])).toEqual(["port"]);
    expect(findNearest("qwen3", ["Qwen3-0.6B-Q8_0", "llama-3", "gemma"])).toEqual(["Qwen3-0.6B-Q8_0"]);
    expect(findNearest("zzzzzz", ["port", "host"])).toEqual([]);
    expect(findNearest("", ["port"])).toEqual([]);
    expect(findNearest("x".repeat(10_000), ["port"])).toEqual([]);
  });
});

describe("the SSE reader", () => {
  async function read(chunks: string[]): Promise<string[]> {
    async function* bytes() {
      for (const chunk of chunks) yield new TextEncoder().encode(chunk);
    }
    const found: string[] = [];
    for await (const data of readSseData(bytes())) found.push(data);
    return found;
  }

  test("reads events that are cut anywhere", async () => {
    const text = 'data: {"a":1}\n\n: keep-alive\n\nevent: x\r\ndata: one\r\ndata: two\r\n\r\ndata:[DONE]\n\n';
    const wanted = ['{"a":1}', "one\ntwo", "[DONE]"];
    expect(await read([text])).toEqual(wanted);
    expect(await read(text.split(""))).toEqual(wanted);
  });

  test("an event without its end is dropped", async () => {
    expect(await read(["data: a\n\ndata: b\n"])).toEqual(["a"]);
  });

  test("an event without limit is an error", async () => {
    const chunk = "x".repeat(1 << 20);
    await expect(read(["data: ", ...Array.from({ length: 18 }, () => chunk)])).rejects.toThrow(RangeError);
    await expect(read(Array.from({ length: 18 }, () => `data: ${chunk}\n`))).rejects.toThrow(RangeError);
  });
});

describe("clocks", () => {
  test("the fake one fires timers in order", () => {
    const clock = new FakeClock(0);
    const fired: string[] = [];
    clock.after(20, () => fired.push("b"));
    clock.after(10, () => {
      fired.push("a");
      clock.after(5, () => fired.push("a2"));
    });
    const cancel = clock.after(15, () => fired.push("never"));
    cancel();
    clock.advance(19);
    expect(fired).toEqual(["a", "a2"]);
    clock.advance(1);
    expect(fired).toEqual(["a", "a2", "b"]);
    expect(clock.wallMs()).toBe(20);
  });

  test("the real one fires and can be cancelled", async () => {
    let cancelled = true;
    systemClock.after(0, () => {
      cancelled = false;
    })();
    await new Promise<void>((resolve) => void systemClock.after(1, resolve));
    expect(cancelled).toBe(true);
    expect(systemClock.monotonicMs()).toBeGreaterThan(0);
  });
});
