// Which quantisation is taken when none is named: by size first, then by what its header says; and what happens where
// nothing fits or nothing can be told.

import { describe, expect, test } from "bun:test";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chooseFitting, chooseStep } from "../../src/hub/fitting-variant.ts";
import { Hub, type PullEvent } from "../../src/hub/hub.ts";
import type { PlanHeaders } from "../../src/hub/read-remotely.ts";
import type { Variant } from "../../src/hub/variant.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { makeLargeModel, startLoopbackHub } from "../support/loopback-hub.ts";

const variant = (tag: string, sizeBytes: number): Variant => ({ tag, sizeBytes, files: [] });
const RANKED = ["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"].map((tag, at) => variant(tag, 10 - at));
const step = (...told: (boolean | null)[]) => {
  const found = chooseStep(RANKED, told);
  return found.kind === "none" ? "none" : `${found.kind} ${found.variant.tag}`;
};

describe("the next step", () => {
  test("asks the best one first, and takes the first that does not say no", () => {
    expect(step()).toBe("ask Q8_0");
    expect(step(true)).toBe("take Q8_0");
    expect(step(null)).toBe("take Q8_0");
    expect(step(false)).toBe("ask Q6_K");
    expect(step(false, null)).toBe("take Q6_K");
  });

  test("comes to the smallest one after three, and then to an end", () => {
    expect(step(false, false, false)).toBe("ask Q2_K");
    expect(step(false, false, false, true)).toBe("take Q2_K");
    expect(step(false, false, false, false)).toBe("none");
    expect(chooseStep([], [])).toEqual({ kind: "none" });
  });
});

describe("what is taken", () => {
  const variants = RANKED.slice(0, 3);
  const choice = { repo: "o/r", wanted: null, largestBytes: 9 };

  test("is among those that fit by size; who named one is not asked about it", async () => {
    const asked: string[] = [];
    const confirm = async ({ tag }: Variant) => {
      asked.push(tag);
      return tag !== "Q6_K";
    };
    expect(await chooseFitting(variants, choice, confirm)).toMatchObject({
      variant: { tag: "Q5_K_M" },
      passedOver: ["Q6_K"],
    });
    expect(asked).toEqual(["Q6_K", "Q5_K_M"]);
    const named = await chooseFitting(variants, { ...choice, wanted: "Q6_K" }, confirm);
    expect([named.variant.tag, asked.length]).toEqual(["Q6_K", 2]);
    expect((await chooseFitting(variants, choice, null)).variant.tag).toBe("Q6_K");
  });

  test("is nothing where none fits", async () => {
    expect(chooseFitting(variants, choice, async () => false)).rejects.toMatchObject({
      code: "out_of_memory",
      message: expect.stringContaining("not even Q5_K_M"),
    });
  });
});

describe("a pull without a tag", () => {
  const files = { "m-Q8_0.gguf": makeLargeModel(200_000, 1), "m-Q4_0.gguf": makeLargeModel(100_000, 2) };
  const pull = async (planHeaders: PlanHeaders) => {
    await using server = startLoopbackHub(files);
    const hub = new Hub({
      settings: { endpoint: server.endpoint, token: null, offline: false },
      root: mkdtempSync(join(tmpdir(), "mlo-fitting-")),
      largestModelBytes: () => 1e9,
      freeDiskBytes: async () => 1e12,
      planHeaders,
    });
    const events: PullEvent[] = [];
    const { name } = await hub.pull("owner/tiny-GGUF", {
      signal: new AbortController().signal,
      onEvent: (event) => events.push(event),
    });
    return { name, planned: events.find(({ type }) => type === "planned") };
  };

  test("takes the next smaller one where the header of the chosen one says no, and tells so", async () => {
    const magics: string[] = [];
    const found = await pull((source, path) => {
      const magic = new Uint8Array(4);
      source.use(path, (file) => file.read(magic, 0));
      magics.push(new TextDecoder().decode(magic));
      return async () => path !== "m-Q8_0.gguf";
    });
    expect(found).toMatchObject({ name: "owner/tiny-GGUF:Q4_0", planned: { passedOver: ["Q8_0"] } });
    expect(magics).toEqual(["GGUF", "GGUF"]);
  });

  test("goes by size where headers can't be read, and not where the repository may not be", async () => {
    const refuse = (code: "not_supported" | "download_failed" | "forbidden") =>
      pull(() => {
        throw new AppError({ code, message: "for this test" });
      });
    for (const code of ["not_supported", "download_failed"] as const) {
      const found = await refuse(code);
      expect(found.name).toBe("owner/tiny-GGUF:Q8_0");
      expect(found.planned).not.toHaveProperty("passedOver");
    }
    expect(refuse("forbidden")).rejects.toMatchObject({ code: "forbidden" });
  });
});
