// What is told to who gets no engine.

import { expect, test } from "bun:test";
import { AppError } from "../../../src/protocol/errors.ts";
import { explainNoRoom, explainStay } from "../../../src/router/residency/refusals.ts";

test("what is missing is told of the memory where it is missing, with what helps there", () => {
  const shortage = { needBytes: 10, budgetBytes: 20, bytesMax: 4 };
  const host = explainNoRoom("m", { ...shortage, device: null });
  expect([host.message, host.hint]).toEqual([
    "m takes 10 bytes, and all engines together may take 20, of which pinned models hold 16.",
    "Raise --memory-budget by 6 bytes, choose a smaller --ctx or a smaller model, or unpin a model.",
  ]);
  const device = explainNoRoom("m", { ...shortage, device: "CUDA0", bytesMax: 20 });
  expect([device.message, device.hint]).toEqual([
    "m takes 10 bytes of CUDA0, and all engines together may take 20.",
    "Put fewer layers there, choose a smaller --ctx or a smaller model.",
  ]);
});

test("a switch that failed keeps its own reason, hint and code, and gets a sentence more", () => {
  const own = new AppError({ code: "out_of_memory", message: "There is no room", hint: "Free some." });
  expect(explainStay(own, "m", "unloaded")).toMatchObject({
    code: "out_of_memory",
    message: "There is no room. m is still the default, and is loaded by its next request.",
    hint: "Free some.",
    cause: own,
  });
});
