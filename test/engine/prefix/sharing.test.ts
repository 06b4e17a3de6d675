// What sequences share and keep, as a client sees it: identical prompts are read once, a conversation goes on where it
// was, and what passes by does not push it out.

import { describe, expect, test } from "bun:test";
import type { ChatMessage, GenerationRequest } from "../../../src/protocol/generation.ts";
import { EngineRun, outcome, type RunOptions, runAlone } from "../../support/engine-run.ts";
import { ask, evaluated, runOne, SYSTEM, WAIT_TOKENS } from "../../support/shared-prompts.ts";

const keeping = (options: RunOptions = {}): EngineRun =>
  new EngineRun({ retainedMax: 4, contextLength: 512, ...options });

describe("prompts that begin alike", () => {
  test("at the same time: are read once", () => {
    using run = new EngineRun({ parallel: 8, contextLength: 1024, batchSize: 16 });
    const requests = Array.from({ length: 8 }, (_, i) => ask(`${SYSTEM} ${i}`));
    for (const [id, request] of requests.entries()) run.generate(id, request);
    run.settle();
    // Whoever would wait for a few tokens only reads those itself.
    expect(evaluated(run)).toBeLessThan(SYSTEM.length + 8 * (2 + WAIT_TOKENS));
    const reports = [...run.stories.values()].map(({ end }) => (end?.type === "done" ? end.cache.live : -1));
    expect(reports.filter((live) => live >= SYSTEM.length - WAIT_TOKENS)).toHaveLength(7);
    for (const [id, request] of requests.entries()) expect(outcome(run.story(id))).toEqual(outcome(runAlone(request)));
    run.checkEmpty();
  });

  test("share their cells: five of them run where three would fit", () => {
    using run = new EngineRun({ parallel: 8, contextLength: 330, batchSize: 16 });
    for (let id = 0; id < 5; id++) run.generate(id, ask(`${SYSTEM} ${id}`));
    let most = 0;
    while ([...run.stories.values()].some(({ end }) => end === null)) {
      run.step();
      most = Math.max(most, run.engine.stats().running);
    }
    expect(most).toBe(5);
  });

  test("from a stream that is being written: the newcomer takes its prompt over", () => {
    using run = new EngineRun({ contextLength: 512 });
    run.generate(1, ask(SYSTEM, { maxTokens: 60 }));
    while (run.story(1).text.length < 10) run.step();
    expect(runOne(run, 2, ask(`${SYSTEM}!`))).toEqual({ live: SYSTEM.length, retained: 0, disk: 0 });
  });

  test("when the one that reads them is cancelled: another reads on from there", () => {
    using run = keeping({ batchSize: 8 });
    run.generate(1, ask(`${SYSTEM} one`));
    run.generate(2, ask(`${SYSTEM} two`));
    for (let i = 0; i < 7; i++) run.step();
    run.send("cancel", 1);
    run.settle();
    expect(outcome(run.story(2))).toEqual(outcome(runAlone(ask(`${SYSTEM} two`))));
    expect(evaluated(run)).toBeLessThan(SYSTEM.length + 16);
  });

  test("are not shared with those who do not want it", () => {
    using run = keeping();
    runOne(run, 1, ask(SYSTEM));
    expect(runOne(run, 2, ask(SYSTEM, { cache: { reuse: false } }))).toEqual({ live: 0, retained: 0, disk: 0 });
    expect(evaluated(run)).toBe(2 * SYSTEM.length);
  });
});

describe("a conversation", () => {
  const say = (messages: readonly string[]): ChatMessage[] =>
    messages.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));
  const turn = (messages: readonly string[], session: string): GenerationRequest =>
    ask("", { prompt: { kind: "chat", messages: say(messages) }, session, stop: [] });

  test("goes on where it was, whatever passes by between its turns", () => {
    using run = keeping({ contextLength: 400, retainedMax: 4 });
    const messages = [SYSTEM];
    let id = 0;
    for (let turns = 0; turns < 4; turns++) {
      const before = evaluated(run);
      runOne(run, id++, turn(messages, "main"));
      const spent = evaluated(run) - before;
      // The question, and the answer, which the template of the fake joins otherwise.
      if (turns > 0) expect(spent).toBeLessThanOrEqual(32);
      messages.push(run.story(id - 1).text, `and what of ${turns}?`);
      for (let other = 0; other < 5; other++) {
        run.clock.advance(1000);
        runOne(run, id++, ask(`a title for number ${id}`, { session: `other ${other}` }));
      }
    }
    run.checkEmpty();
  });

  test("loses its end, not all, when others need its cells", () => {
    using run = keeping({ contextLength: 140, sequenceContextLength: 140 });
    runOne(run, 1, ask(SYSTEM));
    run.generate(2, ask("x".repeat(90)));
    run.settle();
    const report = runOne(run, 3, ask(SYSTEM, { maxTokens: 1 }));
    expect(report.retained).toBeGreaterThanOrEqual(16);
    expect(report.retained).toBeLessThan(SYSTEM.length - 1);
  });

  test("is told where it left the one that is kept", () => {
    using run = keeping();
    runOne(run, 1, ask(`${SYSTEM} at 14:02 it rained`, { session: "s" }));
    let texts = 0;
    const { tokenBytes } = run.backend;
    run.backend.tokenBytes = (token, special) => {
      if (special) texts++;
      return tokenBytes.call(run.backend, token, special);
    };
    const { diverged, retained } = runOne(run, 2, ask(`${SYSTEM} at 14:03 it rained`, { session: "s" }));
    const at = `${SYSTEM} at 14:0`.length;
    expect(retained).toBe(at);
    expect(diverged?.token).toBe(at);
    expect(diverged?.old).not.toBe(diverged?.new ?? "");
    // Twice, with the start and with the end: 8 tokens of each side.
    expect(texts).toBe(32);
    const { diverged: none } = runOne(run, 3, ask("something else altogether"));
    expect(none).toBeUndefined();
  });

  test("is kept once, however often it is asked", () => {
    using run = keeping();
    for (let id = 0; id < 6; id++) runOne(run, id, ask(SYSTEM));
    expect(run.engine.stats().retained.sequences).toBe(1);
  });

  test("more of them than may be kept: what is worth least goes", () => {
    using run = keeping({ retainedMax: 2, contextLength: 1024 });
    for (const [id, text] of [SYSTEM, "a short passing text", `b ${SYSTEM}`].entries()) runOne(run, id, ask(text));
    expect(run.cacheEntries().map(({ tokens }) => tokens)).toEqual([SYSTEM.length + 7, SYSTEM.length + 9]);
  });
});

describe("kinds of memory", () => {
  test.each(["recurrent", "hybrid"] as const)("%s: a whole kept sequence can be gone on from", (memory) => {
    using run = keeping({ memory });
    runOne(run, 1, ask(SYSTEM));
    const { text } = run.story(1);
    const longer = ask(`${SYSTEM}${text}, and on`);
    const report = runOne(run, 2, longer);
    expect(report.retained === 0 || report.retained >= SYSTEM.length).toBe(true);
    run.checkEmpty();
  });

  test("other: nothing is shared", () => {
    using run = keeping({ memory: "other" });
    runOne(run, 1, ask(SYSTEM));
    expect(runOne(run, 2, ask(SYSTEM))).toEqual({ live: 0, retained: 0, disk: 0 });
  });

  test("sliding: what a window has lost is not waited for, and not used", () => {
    using run = keeping({ memory: "sliding" });
    runOne(run, 1, ask(SYSTEM, { maxTokens: 40 }));
    // The kept one has the window before its own end only.
    expect(runOne(run, 2, ask(`${SYSTEM}!`))).toMatchObject({ retained: 0 });
    const whole = `${SYSTEM}${runAlone(ask(SYSTEM, { maxTokens: 40 })).text}`;
    runOne(run, 3, ask(whole));
    run.checkEmpty();
  });
});
