// Conversions over a runner that the test lets go on and end: one at a time, joined, bounded, cancelled.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../../src/lib/log.ts";
import type { ConversionResult } from "../../../src/protocol/conversion.ts";
import { AppError, toAppError } from "../../../src/protocol/errors.ts";
import type { ConversionTask } from "../../../src/router/conversions/conversion-child.ts";
import { type ConversionJob, Conversions } from "../../../src/router/conversions/conversions.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { settle } from "../../support/http-app.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-conversions-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const RESULT: ConversionResult = { target: "/m/x.gguf", outType: "f16", architecture: "llama", bytes: 9, notes: ["n"] };

class Fixture {
  readonly runs: (ConversionTask & PromiseWithResolvers<ConversionResult>)[] = [];
  readonly changes: ConversionJob[] = [];
  readonly conversions = new Conversions({
    run: (task) => {
      const run = { ...task, ...Promise.withResolvers<ConversionResult>() };
      task.signal.addEventListener("abort", () => run.reject(task.signal.reason));
      this.runs.push(run);
      return run.promise;
    },
    onChange: (job) => this.changes.push(job),
    log: silentLogger,
    clock: new FakeClock(5),
  });

  start(source: string, name: string | null = null, outType = "auto"): ConversionJob {
    return this.conversions.start({ label: source, source: `/models/${source}`, outType, folder, name });
  }

  states(): string[] {
    return this.conversions.list().map(({ source, state }) => `${source} ${state}`);
  }
}

const codeOf = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "none",
    (thrown) => toAppError(thrown).code,
  );

describe("one conversion", () => {
  test("is told from the beginning to the end", async () => {
    const fixture = new Fixture();
    const { conversions, runs, changes } = fixture;
    const job = fixture.start("a");
    const outcome = conversions.outcome(job.id);
    runs[0]?.onLine({ type: "planned", outType: "f16", file: "a-F16.gguf" });
    runs[0]?.onLine({ type: "progress", phase: null, doneBytes: 5, totalBytes: 9 });
    runs[0]?.resolve(RESULT);
    expect(await outcome).toEqual(RESULT);
    expect(changes.map(({ state, outType, file, doneBytes }) => [state, outType, file, doneBytes])).toEqual([
      ["queued", "auto", null, 0],
      ["running", "auto", null, 0],
      ["running", "f16", "a-F16.gguf", 0],
      ["running", "f16", "a-F16.gguf", 5],
      ["done", "f16", "a-F16.gguf", 5],
    ]);
    expect(conversions.get(job.id)).toMatchObject({ state: "done", notes: ["n"], askedAt: 5, endedAt: 5, error: null });
  });

  test("is told to who follows it, from where it is", async () => {
    const fixture = new Fixture();
    const { conversions, runs } = fixture;
    const { id } = fixture.start("a");
    const heard: string[] = [];
    conversions.follow(id, ({ state, doneBytes }) => heard.push(`${state} ${doneBytes}`));
    runs[0]?.onLine({ type: "progress", phase: null, doneBytes: 5, totalBytes: 9 });
    runs[0]?.resolve(RESULT);
    await conversions.outcome(id);
    expect(heard).toEqual(["running 0", "running 5", "done 5"]);
    expect(() => conversions.follow("nobody", () => {})).toThrow("there is no conversion");
  });

  test("that fails says why, and the next one for the same begins anew", async () => {
    const fixture = new Fixture();
    const first = fixture.start("a");
    fixture.runs[0]?.reject(new AppError({ code: "engine_crashed", message: "gone" }));
    expect(await codeOf(fixture.conversions.outcome(first.id))).toBe("engine_crashed");
    expect(fixture.conversions.get(first.id)).toMatchObject({ state: "failed", error: { message: "gone" } });
    await settle();
    expect(fixture.start("a").id).not.toBe(first.id);
    expect(fixture.runs).toHaveLength(2);
  });

  test("that is being cancelled is joined by nobody: asked again, it begins anew", async () => {
    const fixture = new Fixture();
    const first = fixture.start("a");
    const cancelled = fixture.conversions.cancel(first.id);
    const second = fixture.start("a");
    expect(second.id).not.toBe(first.id);
    expect((await cancelled).state).toBe("cancelled");
    await settle();
    expect(fixture.states()).toEqual(["a cancelled", "a running"]);
  });

  test("to a name that is taken is refused, before and when the name is settled", async () => {
    const fixture = new Fixture();
    writeFileSync(join(folder, "taken.gguf"), "x");
    expect(() => fixture.start("a", "taken")).toThrow("taken.gguf is already in the folder of models");
    const { id } = fixture.start("a");
    fixture.runs[0]?.onLine({ type: "planned", outType: "f16", file: "taken.gguf" });
    expect(await codeOf(fixture.conversions.outcome(id))).toBe("invalid_request");
  });
});

describe("several", () => {
  test("run one after the other; the same is one", async () => {
    const fixture = new Fixture();
    const [a, again, b] = [fixture.start("a"), fixture.start("a"), fixture.start("b")];
    expect([again.id, b.id === a.id]).toEqual([a.id, false]);
    expect(fixture.start("a", null, "q8_0").id).not.toBe(a.id);
    expect(fixture.states()).toEqual(["a running", "b queued", "a queued"]);
    fixture.runs[0]?.resolve(RESULT);
    await settle();
    expect(fixture.states()).toEqual(["a done", "b running", "a queued"]);
    fixture.runs[1]?.reject(new Error("surprise"));
    await settle();
    expect(fixture.states()).toEqual(["a done", "b failed", "a running"]);
  });

  test("are no more than sixteen that wait", async () => {
    const fixture = new Fixture();
    for (let n = 0; n <= 16; n++) fixture.start(`${n}`);
    expect(() => fixture.start("one more")).toThrow("16 conversions wait already");
    expect(fixture.start("16").state).toBe("queued");
    fixture.runs[0]?.resolve(RESULT);
    await settle();
    expect(fixture.start("one more").state).toBe("queued");
  });

  test("those that have ended are forgotten at some point, and no others", async () => {
    const fixture = new Fixture();
    for (let n = 0; n < 80; n++) {
      fixture.start(`${n}`);
      fixture.runs[n]?.resolve(RESULT);
      await settle();
    }
    fixture.start("open");
    expect(fixture.states().length).toBe(65);
    expect(fixture.states().at(-1)).toBe("open running");
  });
});

describe("an end from outside", () => {
  test("cancels what runs and what waits, and leaves what is over", async () => {
    const fixture = new Fixture();
    const [a, b] = [fixture.start("a"), fixture.start("b")];
    const outcomes = [a, b].map(({ id }) => codeOf(fixture.conversions.outcome(id)));
    expect((await fixture.conversions.cancel(b.id)).state).toBe("cancelled");
    expect((await fixture.conversions.cancel(a.id)).state).toBe("cancelled");
    expect(await Promise.all(outcomes)).toEqual(["cancelled", "cancelled"]);
    expect(fixture.runs).toHaveLength(1);
    const c = fixture.start("c");
    await settle();
    fixture.runs[1]?.resolve(RESULT);
    await fixture.conversions.outcome(c.id);
    expect((await fixture.conversions.cancel(c.id)).state).toBe("done");
    expect(await codeOf(fixture.conversions.cancel("nothing"))).toBe("not_found");
  });

  test("a server that stops ends all and takes no more", async () => {
    const fixture = new Fixture();
    const jobs = [fixture.start("a"), fixture.start("b")];
    await fixture.conversions.stop();
    expect(jobs.map(({ id }) => fixture.conversions.get(id).state)).toEqual(["cancelled", "cancelled"]);
    expect(() => fixture.start("c")).toThrow("stopping");
  });
});
