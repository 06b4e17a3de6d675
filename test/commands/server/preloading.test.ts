// Models that are loaded at the start: in which order, and what health says of one that can't be.

import { expect, test } from "bun:test";
import { Preloading } from "../../../src/commands/server/preloading.ts";
import { type Logger, silentLogger } from "../../../src/lib/log.ts";
import { AppError } from "../../../src/protocol/errors.ts";
import type { ModelCard, ModelState } from "../../../src/router/inference.ts";
import { makeEntry } from "../../support/fake-engines.ts";
import { makeCard } from "../../support/fake-inference.ts";

const FAILURES: Record<string, AppError> = {
  broken: new AppError({ code: "model_damaged", message: "bad tensor" }),
  nope: new AppError({ code: "model_not_found", message: 'the model "nope" does not exist' }),
  unloaded: new AppError({ code: "conflict", message: "it was unloaded" }),
};

class World {
  readonly loaded: string[] = [];
  readonly errors: unknown[] = [];
  readonly states = new Map<string, ModelState>([["broken", "failed"]]);
  readonly log: Logger = {
    ...silentLogger,
    error: (message, fields) => void this.errors.push([message, fields?.model]),
  };

  async load(name: string): Promise<ModelCard> {
    const failure = FAILURES[name];
    if (failure !== undefined) throw failure;
    this.loaded.push(name);
    return makeCard();
  }

  resolveModel(name: string | undefined): ModelCard {
    const state = this.states.get(name ?? "");
    if (state === undefined) throw new AppError({ code: "model_not_found", message: "no" });
    return makeCard({ state });
  }

  async preload(...names: string[]): Promise<Preloading> {
    const marked = makeEntry("marked", { settings: { engine: {}, sampling: {}, preload: true } });
    const preloading = new Preloading(names, this.log);
    await preloading.run(this, { list: () => [makeEntry("demo"), marked] });
    return preloading;
  }
}

test("they come in their order, each once, and one that fails does not keep the others away", async () => {
  const world = new World();
  const { troubles } = await world.preload("broken", "default", "default");
  expect(world.loaded).toEqual(["default", "marked"]);
  expect(world.errors).toEqual([["a model can't be loaded at the start", "broken"]]);
  expect(troubles()).toEqual([
    {
      subject: "broken",
      reason: "It was to be loaded at the start: bad tensor",
      fix:
        "Fetch the file again and compare its checksum. Then load it (ml-offload load), or leave it out of --preload and of its " +
        "model file.",
    },
  ]);
});

test("one that does not exist is a trouble until it is in memory; what somebody unloaded is none", async () => {
  const world = new World();
  const { troubles } = await world.preload("nope", "unloaded");
  expect(troubles().map(({ subject, reason }) => [subject, reason])).toEqual([
    ["nope", 'It was to be loaded at the start: the model "nope" does not exist'],
  ]);
  world.states.set("nope", "unloaded");
  expect(troubles()).toHaveLength(1);
  world.states.set("nope", "loaded");
  expect(troubles()).toEqual([]);
  // Whatever becomes of it later is no matter of the start.
  world.states.set("nope", "failed");
  expect(troubles()).toEqual([]);
});

test("nothing is wrong before it was tried", () => {
  expect(new Preloading(["nope"], silentLogger).troubles()).toEqual([]);
});
