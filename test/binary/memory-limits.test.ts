// The compiled binary in memory control groups of 1, 2 and 4 GiB: what does not fit is refused before the kernel ends anything,
// what is said to fit loads, serves its whole context, and takes what the plan says.

import { describe, expect, test } from "bun:test";
import { cacheModel } from "../support/gguf-builder.ts";
import {
  boundOf,
  findPid,
  LimitedServers,
  nameOf,
  type Plan,
  post,
  readStatus,
  sumOwn,
  toMib,
  WIDE_KV_SPEC,
  watchPeak,
} from "../support/limited-server.ts";
import { type ModelSpec, QWEN3_SPEC } from "../support/model-specs.ts";
import type { Server } from "../support/server.ts";

const GIB = 1024 ** 3;
/** 1,500 tokens through the widest model on two cores that others use too. */
const TIMEOUT_MS = 600_000;
const CONTEXT = 1536;
/** For 64 short answers at once. */
const WIDE_CONTEXT = 8192;
/** Of which the last ones are the answer. */
const PROMPT = CONTEXT - 36;

const specOf = (layers: number): ModelSpec => ({ ...WIDE_KV_SPEC, layers });

/** At this context keys and values take 384 MiB, 768 MiB and 1.5 GiB; at four times as many tokens none of them fits. */
const CASES: [name: string, bytes: number, layers: number][] = [
  ["1 GiB", GIB, 16],
  ["2 GiB", 2 * GIB, 32],
  ["4 GiB", 4 * GIB, 64],
];

const servers = new LimitedServers("mlo-limits");

async function start(bytes: number, spec: ModelSpec): Promise<Server> {
  return await servers.start(cacheModel(spec), [], bytes);
}

describe.skipIf(servers.made.kind === "none")("a control group of", () => {
  test.each(CASES)(
    "%s: what does not fit is refused before anything is ended",
    async (_name, bytes, layers) => {
      const running = await start(bytes, specOf(layers));
      const { kills } = servers.group;
      const model = await nameOf(running);
      const planned = await post<Plan>(running, "/api/plan", { model, ctx: 4 * CONTEXT });
      expect(planned.body.verdict).not.toBe("fits");
      const loaded = await post<{ error: { code: string; hint: string } }>(running, "/api/models/load", {
        model,
        ctx: 4 * CONTEXT,
      });
      expect([loaded.status, loaded.body.error.code]).toEqual([400, "plan_refused"]);
      expect(loaded.body.error.hint).not.toBe("");
      expect(servers.group.kills).toBe(kills);
      expect((await readStatus(running)).filter(({ pid }) => pid !== null)).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test.each(CASES)(
    "%s: what is said to fit loads, serves its whole context, and takes what was planned",
    async (_name, bytes, layers) => {
      const running = await start(bytes, specOf(layers));
      const { group } = servers;
      const model = await nameOf(running);
      const { body: report } = await post<Plan>(running, "/api/plan", { model, ctx: CONTEXT });
      expect(report.verdict).toBe("fits");
      const plannedBytes = sumOwn(report);
      const { mappedBytes } = report.plan.memory.host;
      expect((await post(running, "/api/models/load", { model, ctx: CONTEXT })).status).toBe(200);
      const pid = await findPid(running);
      const prompt = Array.from({ length: PROMPT }, (_, at) => 300 + (at % 5000));
      const answering = post<{ usage: { prompt_tokens: number; completion_tokens: number } }>(
        running,
        "/v1/completions",
        { model, prompt, max_tokens: CONTEXT, temperature: 0, ignore_eos: true },
      );
      // What is kept goes to disk then, which needs memory too.
      const ending = answering.then(() => post(running, "/api/models/unload", { model }));
      const peak = await watchPeak(pid, ending);
      const { status, body } = await answering;
      expect(status).toBe(200);
      expect(body.usage.prompt_tokens + body.usage.completion_tokens).toBeGreaterThanOrEqual(CONTEXT - 1);
      console.log(
        `${layers} layers: ${toMib(peak)} MiB at most, ${toMib(plannedBytes)} planned, ${toMib(mappedBytes)} mapped beside it`,
      );
      expect(Math.abs(peak - plannedBytes)).toBeLessThanOrEqual(boundOf(plannedBytes));
      expect(group.kills).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "1 GiB: as many answers as there are places, of samplers that look at all of 151,000 tokens, take what was planned",
    async () => {
      const running = await start(GIB, QWEN3_SPEC);
      const asked = { model: await nameOf(running), ctx: WIDE_CONTEXT };
      const { body: report } = await post<Plan>(running, "/api/plan", asked);
      expect(report.verdict).toBe("fits");
      expect((await post(running, "/api/models/load", asked)).status).toBe(200);
      const pid = await findPid(running);
      const sampling = { temperature: 1, top_k: 0, top_p: 0.95, typical_p: 0.9, frequency_penalty: 1 };
      const answering = Promise.all(
        Array.from({ length: report.plan.settings.parallel }, (_, at) =>
          post(running, "/v1/completions", { prompt: `once ${at}`, max_tokens: 4, ignore_eos: true, ...sampling }),
        ),
      );
      const peak = await watchPeak(pid, answering);
      expect((await answering).map(({ status }) => status)).toEqual(Array(report.plan.settings.parallel).fill(200));
      const plannedBytes = sumOwn(report);
      console.log(`${toMib(peak)} MiB at most, ${toMib(plannedBytes)} planned`);
      expect(Math.abs(peak - plannedBytes)).toBeLessThanOrEqual(boundOf(plannedBytes));
    },
    TIMEOUT_MS,
  );

  test(
    "1 GiB: a context that nobody asked for is made to fit",
    async () => {
      const running = await start(GIB, specOf(16));
      const loaded = await post<{ contextLength: number }>(running, "/api/models/load", {
        model: await nameOf(running),
      });
      expect(loaded.status).toBe(200);
      expect(loaded.body.contextLength).toBeLessThan(16_384);
      const { status } = await post(running, "/v1/completions", { prompt: "once upon a time", max_tokens: 4 });
      expect(status).toBe(200);
      expect(servers.group.kills).toBe(0);
    },
    TIMEOUT_MS,
  );
});
