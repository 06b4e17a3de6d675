// Which settings count as somebody's choice: those are not lowered without being asked for.

import { expect, test } from "bun:test";
import { listExplicit } from "../../../src/commands/server/adapting.ts";
import { listSaid } from "../../../src/commands/server/asked-settings.ts";
import { type ConfigKey, resolveConfig } from "../../../src/config.ts";
import type { EngineChanges } from "../../../src/protocol/model-settings.ts";

test.each([
  [[], {}, []],
  [["ubatchSize"], {}, ["batch"]],
  [["parallel", "retained"], {}, ["parallel", "cache"]],
  [[], { parallel: 4, checkpointBytes: 0 }, ["parallel", "cache"]],
  [["ctx", "threads"], { ctx: 100 }, []],
] as [ConfigKey[], EngineChanges, string[]][])("settings %j and a model's file %j: %j", (said, changes, expected) => {
  expect([...listExplicit(new Set(said), changes)]).toEqual(expected as never);
});

test("the settings tell where they come from", () => {
  const sources = {
    flags: new Map([["parallel", ["3"]]]),
    env: { HOME: "/h" },
    folders: { config: "", data: "", state: "", cache: "" },
    cwd: "/",
  };
  expect([...listExplicit(listSaid(resolveConfig(sources, null)), {})]).toEqual(["parallel"]);
});
