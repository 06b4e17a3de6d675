// The server's settings as a model's own file changes them: what it leaves out is made to fit.

import { expect, test } from "bun:test";
import { applyModelSettings } from "../../src/config/model-settings.ts";
import { resolveConfig } from "../../src/config.ts";

const folders = { config: "/c", data: "/d", state: "/s", cache: "/k" };
const { values } = resolveConfig({ flags: new Map(), env: {}, folders, cwd: "/" }, null);

test("what a file says holds, and the rest is the server's", () => {
  expect(applyModelSettings(values, {})).toEqual(values);
  expect(applyModelSettings(values, { ctx: 5, kvStore: false, speculate: "off" })).toEqual({
    ...values,
    ctx: 5,
    kvStore: false,
    speculate: "off",
  });
});

test("sequences and batches fit together, whoever names them", () => {
  const fit = (changes: Parameters<typeof applyModelSettings>[1], server = values) => {
    const { parallel, retained, batchSize, ubatchSize } = applyModelSettings(server, changes);
    return { parallel, retained, batchSize, ubatchSize };
  };
  expect(fit({ parallel: 250 })).toMatchObject({ parallel: 250, retained: 5 });
  expect(fit({ retained: 200 }, { ...values, parallel: 100 })).toMatchObject({ parallel: 55, retained: 200 });
  expect(fit({ batchSize: 64 })).toMatchObject({ batchSize: 64, ubatchSize: 64 });
  expect(fit({ ubatchSize: 4096 })).toMatchObject({ batchSize: 4096, ubatchSize: 4096 });
});
