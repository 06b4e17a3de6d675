// The fake backend's work beside the engine's thread: it is done after as many polls as the test says.

import type { PreparedPrompt, Task } from "../../src/engine/backend.ts";
import { assert } from "../../src/lib/assert.ts";
import type { Counted } from "./fake-state.ts";
import { PRESERVED } from "./fake-vocabulary.ts";

export interface FakeTask {
  /** The prompt's tokens, or why it fails. */
  result: Int32Array | string;
  needsParser: boolean;
  /** Polls that find it running. */
  polls: number;
  job: Counted;
  /** Counts the prompt that comes of it. */
  count: () => Counted;
}

export function makeFakeTask({ result, needsParser, polls, job, count }: FakeTask): Task<PreparedPrompt> {
  let left = polls;
  let taken = false;
  return {
    poll: () => {
      job.assertAlive();
      if (left-- > 0) return { kind: "running" };
      return typeof result === "string" ? { kind: "failed", error: new Error(result) } : { kind: "done" };
    },
    take: () => {
      assert(!taken && left < 0 && typeof result !== "string", "a task is taken once, when it is done");
      taken = true;
      const prompt = count();
      return {
        tokens: result,
        stops: needsParser ? ["zzz"] : [],
        preserved: new Set(needsParser ? [PRESERVED] : []),
        needsParser,
        preambleLength: 0,
        turns: [],
        [Symbol.dispose]: prompt.dispose,
      };
    },
    [Symbol.dispose]: job.dispose,
  };
}
