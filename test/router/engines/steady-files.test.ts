// Starts whose files are changed, removed or gone: an engine of two files is never given out.

import { expect, test } from "bun:test";
import { silentLogger } from "../../../src/lib/log.ts";
import { AppError } from "../../../src/protocol/errors.ts";
import { startOnSteadyFiles } from "../../../src/router/engines/steady-files.ts";

/** Each start finds the next of these files, and leaves the one after it. Null: there is none. */
async function run(files: (string | null)[], fails: boolean[] = []) {
  let at = 0;
  const stopped: number[] = [];
  const starting = startOnSteadyFiles({
    modelId: "m",
    paths: ["/first", "/second"],
    log: silentLogger,
    readStamp: (path) => (path === "/first" ? "1" : (files[at] ?? null)),
    async start() {
      const number = at++;
      if (fails[number] === true) throw new AppError({ code: "model_damaged", message: `load ${number} failed` });
      return { number, stop: async () => void stopped.push(number) };
    },
  });
  const outcome = await starting.then(
    ({ number }) => number,
    (thrown: AppError) => [thrown.code, thrown.message],
  );
  return { outcome, stopped };
}

test("files that stay are loaded once, whatever comes of it", async () => {
  expect(await run(["a", "a"])).toEqual({ outcome: 0, stopped: [] });
  expect(await run(["a", "a"], [true])).toEqual({ outcome: ["model_damaged", "load 0 failed"], stopped: [] });
});

test("one that is replaced meanwhile is loaded once more, and what had both is ended", async () => {
  expect(await run(["a", "b", "b"])).toEqual({ outcome: 1, stopped: [0] });
  expect(await run(["a", "b", "b"], [true])).toEqual({ outcome: 1, stopped: [] });
});

test("one that goes on changing is told as such", async () => {
  const message = "The file of m is being changed: it was another one after each of 3 loads.";
  expect(await run(["a", "b", "c", "d"])).toEqual({ outcome: ["model_loading", message], stopped: [0, 1, 2] });
});

test("one that is gone is named; of one that was open before it went the engine stays", async () => {
  const gone = ["model_not_found", "m can't be loaded: its file /second is not there any more."];
  expect(await run([null])).toEqual({ outcome: gone, stopped: [] });
  expect(await run(["a", null], [true])).toEqual({ outcome: gone, stopped: [] });
  expect(await run(["a", null])).toEqual({ outcome: 0, stopped: [] });
});
