// The benchmark's own arithmetic, and its runner against loopback servers that stream at a known pace. What a machine's
// speed decides is not asserted: only counts, and which of two is far slower.

import { afterAll, describe, expect, test } from "bun:test";
import { chooseScenarios, SCENARIOS } from "../../src/bench/catalog.ts";
import { resolveTarget, stream, type Target } from "../../src/bench/client.ts";
import { renderMarkdown, renderText, toJson } from "../../src/bench/report.ts";
import { judge, runScenario } from "../../src/bench/runner.ts";
import { type Metric, ratioAtLeast, ratioAtMost, type Scenario, valueAtMost } from "../../src/bench/scenario.ts";
import { EIGHT_STREAMS } from "../../src/bench/scenarios/streams.ts";
import {
  decodeRate,
  firstTokenMs,
  largestGapMs,
  listGaps,
  median,
  overlapRate,
  type StreamRecord,
  totalRate,
} from "../../src/bench/timing.ts";
import { makeText } from "../../src/bench/words.ts";
import { BENCH_OPTIONS, findCommand } from "../../src/commands/arguments/specs.ts";
import { renderMeasured, replaceMeasured } from "./document.ts";
import { readRssAnonMb } from "./memory.ts";

function record(sentMs: number, ...arrivalsMs: number[]): StreamRecord {
  const counts = { promptTokens: 9, completionTokens: null, evaluatedTokens: null };
  return { sentMs, arrivalsMs, endMs: arrivalsMs.at(-1) ?? sentMs, text: "", ...counts };
}

describe("arrival times", () => {
  test("say when the first token came, and how fast the others did", () => {
    expect(firstTokenMs(record(10, 30, 40, 50))).toBe(20);
    expect(decodeRate(record(10, 30, 40, 50))).toBe(100);
    expect(decodeRate({ ...record(10, 30, 50), completionTokens: 5 })).toBe(200);
    expect([firstTokenMs(record(10)), decodeRate(record(10)), decodeRate(record(10, 20))]).toEqual([null, null, null]);
  });

  test("of several streams: over all time, and while all run", () => {
    const records = [record(0, 100, 200, 300, 400), record(0, 200, 300, 400, 500)];
    expect(totalRate(records)).toBe(16);
    expect(overlapRate(records)).toBe(20);
    expect(overlapRate([record(0, 1, 2), record(0, 3, 4)])).toBeNull();
  });

  test("medians and gaps", () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([])]).toEqual([2, 2.5, null]);
    expect(listGaps([1, 3, 7])).toEqual([2, 4]);
    const arrivals = [0, 10, 20, 95, 100];
    expect(largestGapMs(arrivals, 25, 97)).toBe(75);
    // The stream stood still until the end of the time looked at.
    expect(largestGapMs([0, 10, 20, 500], 25, 400)).toBe(380);
    expect(largestGapMs([50], 25, 97)).toBeNull();
  });
});

test("texts are the same for the same seed, and as long as asked", () => {
  expect(makeText("a", 1500)).toBe(makeText("a", 1500));
  expect(makeText("a", 50)).not.toBe(makeText("b", 50));
  expect(makeText("a", 1500).split(" ")).toHaveLength(1500);
});

describe("the judge", () => {
  const rate: Metric = { key: "x", label: "x", unit: "tokens/s", better: "more", goal: ratioAtLeast(1.03) };
  const time: Metric = { ...rate, unit: "ms", better: "less", goal: ratioAtMost(0.5) };
  const values = (...medians: number[]) => new Map(medians.map((value, i) => [["a", "b", "c"][i] ?? "", [value]]));

  test("counts the better peer", () => {
    expect(judge(rate, ["a", "b", "c"], values(100, 50, 80))).toMatchObject({ ratio: 1.25, ratios: { b: 2, c: 1.25 } });
    expect(judge(time, ["a", "b", "c"], values(10, 50, 16))).toMatchObject({ ratio: 0.625, verdict: "not reached" });
  });

  test("compares what was measured in the same run", () => {
    const paced = new Map([
      ["a", [110, null, 55, 22]],
      ["b", [100, 10, 50, 200]],
    ]);
    expect(judge(rate, ["a", "b"], paced)).toMatchObject({
      medians: { a: 55, b: 75 },
      values: { a: [110, 55, 22] },
      ratio: 1.1,
      verdict: "reached",
    });
  });

  test("says what could not be measured", () => {
    expect(judge(rate, ["a"], values(100)).verdict).toBe("not measured");
    expect(judge(rate, ["a", "b"], values(100)).verdict).toBe("not measured");
    expect(judge({ ...rate, goal: valueAtMost(64) }, ["a"], values(64)).verdict).toBe("reached");
  });
});

/** Streams `max_tokens` chunks, one every `gapMs`, and tells the usage. */
function startFake(gapMs: number): { url: string; asked: string[]; stop(): Promise<void> } {
  const asked: string[] = [];
  const server = Bun.serve({
    port: 0,
    async fetch(request) {
      if (request.method === "GET") return Response.json({ data: [{ id: "other" }, { id: "chosen", default: true }] });
      const body = (await request.json()) as { prompt: string; max_tokens: number; model: string };
      if (body.prompt === "refuse") return new Response("no", { status: 429 });
      asked.push(body.prompt);
      const chunks = streamChunks(body.max_tokens, gapMs, body.prompt === "break");
      const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
        const { value, done } = await chunks.next();
        if (done === true) controller.close();
        else controller.enqueue(new TextEncoder().encode(value));
      };
      return new Response(new ReadableStream({ pull, cancel: () => void chunks.return(undefined) }));
    },
  });
  return { url: `http://127.0.0.1:${server.port}`, asked, stop: () => server.stop(true) };
}

async function* streamChunks(count: number, gapMs: number, broken: boolean): AsyncGenerator<string> {
  const event = (value: object) => `data: ${JSON.stringify(value)}\n\n`;
  for (let i = 0; i < count; i++) {
    await Bun.sleep(gapMs);
    yield event({ choices: [{ text: "x" }], usage: null });
  }
  if (broken) return;
  const usage = { prompt_tokens: 24, completion_tokens: count, prompt_tokens_details: { cached_tokens: 20 } };
  yield event({ choices: [], usage });
  yield "data: [DONE]\n\n";
}

describe("against servers", () => {
  const [fast, slow] = [startFake(1), startFake(25)];
  const targetOf = ({ url }: { url: string }): Target => ({ url, apiKey: null, model: "m" });
  afterAll(async () => {
    await Promise.all([fast.stop(), slow.stop()]);
  });

  test("the default model is asked, and a /v1 at the URL's end is no harm", async () => {
    expect(await resolveTarget(`${fast.url}/v1/`, null, null)).toEqual({ ...targetOf(fast), model: "chosen" });
    expect(await resolveTarget(fast.url, "m", null)).toEqual(targetOf(fast));
  });

  test("a stream's chunks and counts", async () => {
    const found = await stream(targetOf(fast), { prompt: "p", maxTokens: 5 });
    expect(found.arrivalsMs).toHaveLength(5);
    expect(found).toMatchObject({ text: "xxxxx", promptTokens: 24, completionTokens: 5, evaluatedTokens: 4 });
  });

  test("a refusal and a broken stream are errors; an abort is an end", async () => {
    expect(stream(targetOf(fast), { prompt: "refuse", maxTokens: 5 })).rejects.toThrow(/429: no/);
    expect(stream(targetOf(fast), { prompt: "break", maxTokens: 2 })).rejects.toThrow(/broke off/);
    const stop = new AbortController();
    const onChunk = (count: number) => count === 3 && stop.abort();
    const cut = await stream(targetOf(slow), { prompt: "p", maxTokens: 1000 }, stop.signal, onChunk);
    expect(cut.arrivalsMs.length).toBe(3);
  });

  test("a scenario runs in turn on both, with the same prompts, fresh at each run", async () => {
    const small: Scenario = {
      ...EIGHT_STREAMS,
      metrics: EIGHT_STREAMS.metrics.slice(0, 2),
      async run(target, { seed, run }) {
        const records = await Promise.all(
          [0, 1].map((i) => stream(target, { prompt: `${seed}/${i}`, maxTokens: 8 + run })),
        );
        return { rate: totalRate(records), overlap: overlapRate(records) };
      },
    };
    [fast, slow].forEach(({ asked }) => void asked.splice(0));
    const order: string[] = [];
    const contestants = [
      { name: "fast", subject: targetOf(fast) },
      { name: "slow", subject: targetOf(slow) },
    ];
    const onProgress = (line: string) => order.push(line.split(", ")[2]?.split(":")[0] ?? "");
    const result = await runScenario(small, contestants, { runs: 3, seed: "s", onProgress });
    expect(order).toEqual(["fast", "slow", "slow", "fast", "fast", "slow"]);
    expect(new Set(fast.asked).size).toBe(6);
    expect(fast.asked.toSorted()).toEqual(slow.asked.toSorted());
    expect(result.failures).toEqual([]);
    const [rate] = result.metrics;
    expect(rate?.values.fast).toHaveLength(3);
    expect(rate?.ratio ?? 0).toBeGreaterThan(1.03);
    expect(rate?.verdict).toBe("reached");
    expect(toJson([result])).toMatchObject([
      { scenario: "eight-streams", metrics: [{ key: "rate", unit: "tokens/s" }, {}] },
    ]);
  });

  test("a run that fails is reported, and the others count", async () => {
    const flaky: Scenario = {
      ...EIGHT_STREAMS,
      async run(target, { run }) {
        const { arrivalsMs } = await stream(target, { prompt: run === 1 ? "refuse" : "p", maxTokens: 2 });
        return { rate: arrivalsMs.length };
      },
    };
    const result = await runScenario(flaky, [{ name: "one", subject: targetOf(fast) }], { runs: 2, seed: "s" });
    expect(result.metrics[0]?.values.one).toEqual([2]);
    expect(result.failures).toEqual([expect.stringMatching(/^one, run 2: .*429/)]);
    expect(renderText([result], ["one"])).toContain("eight-streams failed: one, run 2");
  });
});

describe("the document", () => {
  const metric: Metric = { key: "x", label: "decode", unit: "tokens/s", better: "more", goal: ratioAtLeast(0.98, 1) };
  const judged = judge(
    metric,
    ["a", "b"],
    new Map([
      ["a", [30]],
      ["b", [40.123]],
    ]),
  );
  const results = [{ scenario: "single-stream", summary: "", metrics: [judged], failures: [] }];

  test("has a table of ratios with both medians", () => {
    expect(renderMarkdown(results, ["a", "b"])).toContain(
      "| single-stream | decode | tokens/s | 30 | 40.1 | 0.75 | ratio ≥ 0.98, aim 1 | not reached |",
    );
  });

  test("is replaced between its marks only", () => {
    const facts = { date: "2000-01-01", runs: 5, command: "bench", machine: "2 cores" };
    const measured = renderMeasured({ ...facts, comparisons: [{ title: "Title:", names: ["a", "b"], results }] });
    const document = replaceMeasured(replaceMeasured("# Before\n", "old", "rates"), "kept", "growth");
    const once = replaceMeasured(document, measured, "rates");
    expect(once).toStartWith("# Before\n\n<!-- rates: ");
    expect(once).toContain("-->\n2 cores, 2000-01-01, medians of 5 runs:");
    expect(once).toMatch(/\n<!-- growth: [^\n]+-->\nkept\n<!-- end of growth -->\n$/);
    expect(once).not.toContain("old");
    expect(replaceMeasured(once, measured, "rates")).toBe(once);
  });
});

test("scenarios are chosen by name or by the first part of it", () => {
  expect(chooseScenarios(SCENARIOS, [])).toHaveLength(SCENARIOS.length);
  expect(chooseScenarios(SCENARIOS, ["growth", "stall"]).map(({ name }) => name)).toEqual([
    "stall",
    "growth-streams",
    "growth-prompts",
    "growth-retained",
  ]);
  expect(() => chooseScenarios(SCENARIOS, ["stal"])).toThrow(/did you mean stall\?/);
  const help = findCommand("bench")?.notes.join(" ");
  for (const { name } of SCENARIOS) expect(help).toContain(name);
  expect(BENCH_OPTIONS.runs.default).toBe(5);
});

test.skipIf(process.platform !== "linux")("the memory of a process and its children is read", async () => {
  const child = Bun.spawn(["sleep", "60"]);
  const own = readRssAnonMb(process.pid) ?? 0;
  expect(own).toBeGreaterThan(readRssAnonMb(child.pid) ?? Number.POSITIVE_INFINITY);
  child.kill();
  await child.exited;
});
