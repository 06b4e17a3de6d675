// The server's scales of LoRA adapters: which requests get them, and that a refused change changes nothing.

import { describe, expect, test } from "bun:test";
import { AppError } from "../../../src/protocol/errors.ts";
import type { LoraScale } from "../../../src/protocol/lora.ts";
import { NO_SETTINGS } from "../../../src/protocol/model-settings.ts";
import { Adapters } from "../../../src/router/engines/adapters.ts";
import { REQUEST } from "../../support/router-fixture.ts";

const PATH = "/models/a.gguf";

function makeAdapters(): Adapters {
  const named = { taskName: "", promptPrefix: "" };
  return new Adapters({
    modelPath: PATH,
    adapters: [
      { id: 0, path: "one.gguf", scale: 1, ...named },
      { id: 1, path: "two.gguf", scale: 0.5, ...named },
    ],
  });
}

const scalesOf = (adapters: Adapters): number[] => adapters.list().map(({ scale }) => scale);

const at = (path: string) => ({ path, settings: NO_SETTINGS });

describe("Adapters", () => {
  test("a request that names none gets the server's scales, of the adapted model alone", () => {
    const adapters = makeAdapters();
    const scales = [
      { id: 0, scale: 1 },
      { id: 1, scale: 0.5 },
    ];
    expect(adapters.apply(at(PATH), REQUEST)).toEqual({ ...REQUEST, lora: scales });
    expect(adapters.apply(at(PATH), { ...REQUEST, lora: [] }).lora).toEqual(scales);
    expect(adapters.apply(at("/models/b.gguf"), REQUEST)).toEqual(REQUEST);
    // A model file's own adapters, and not where --lora has some for the model.
    const settings = { engine: { lora: ["/a.gguf", "/b.gguf=0.5"] }, sampling: {} };
    expect(adapters.apply({ path: "/models/b.gguf", settings }, REQUEST).lora).toEqual(scales);
    expect(
      adapters.apply({ path: PATH, settings: { ...settings, engine: { lora: ["/c.gguf=9"] } } }, REQUEST).lora,
    ).toEqual(scales);
    const own: LoraScale[] = [{ id: 1, scale: 2 }];
    expect(adapters.apply(at(PATH), { ...REQUEST, lora: own }).lora).toEqual(own);
  });

  test("scales are set anew, all of them", () => {
    const adapters = makeAdapters();
    adapters.setScales([{ id: 1, scale: -2 }]);
    expect(scalesOf(adapters)).toEqual([0, -2]);
    expect(adapters.apply(at(PATH), REQUEST).lora).toEqual([
      { id: 0, scale: 0 },
      { id: 1, scale: -2 },
    ]);
    adapters.setScales([]);
    expect(scalesOf(adapters)).toEqual([0, 0]);
  });

  test("what is wrong changes nothing", () => {
    const adapters = makeAdapters();
    for (const wrong of [[{ id: 2, scale: 1 }], [{ id: 0, scale: 1000 }], Array(2).fill({ id: 0, scale: 1 })]) {
      expect(() => adapters.setScales(wrong)).toThrow(AppError);
      expect(scalesOf(adapters)).toEqual([1, 0.5]);
    }
  });
});
