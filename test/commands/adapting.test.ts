// Which settings count as somebody's choice: those are not lowered without being asked for.

import { expect, test } from "bun:test";
import { listExplicit, type Origins } from "../../src/commands/adapting.ts";
import { resolveConfig } from "../../src/config.ts";
import type { EngineChanges } from "../../src/protocol/model-settings.ts";

const DEFAULTS: Origins = { batchSize: "default", ubatchSize: "default", parallel: "default", retained: "default" };

test.each([
  [{}, {}, []],
  [DEFAULTS, {}, []],
  [{ ...DEFAULTS, ubatchSize: "flag" }, {}, ["batch"]],
  [{ ...DEFAULTS, parallel: "env", retained: "file" }, {}, ["parallel", "cache"]],
  [DEFAULTS, { parallel: 4, checkpointBytes: 0 }, ["parallel", "cache"]],
  [{ ctx: "flag", threads: "flag" }, { ctx: 100 }, []],
] as [Origins, EngineChanges, string[]][])("origins %j and a model's file %j: %j", (origins, changes, expected) => {
  expect([...listExplicit(origins, changes)]).toEqual(expected as never);
});

test("the settings tell where they come from", () => {
  const sources = {
    flags: new Map([["parallel", ["3"]]]),
    env: { HOME: "/h" },
    folders: { config: "", data: "", state: "", cache: "" },
    cwd: "/",
  };
  expect([...listExplicit(resolveConfig(sources, null).origins, {})]).toEqual(["parallel"]);
});
