// Deaths: of an engine under load, of the server, of the program that started it. Who is hurt, who is told, and that
// nothing stays behind.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import {
  BINARY,
  homeEnvironment,
  isRunning,
  makeFolder,
  readEngine,
  readEngines,
  runBinary,
  startBinary,
  waitFor,
} from "../support/binary.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { TINY_SPEC } from "../support/model-specs.ts";
import { openRaw, rawPost } from "../support/raw-http.ts";
import type { Server } from "../support/server.ts";

const CHAT = "/v1/chat/completions";
/** Longer than a test waits: it runs until something ends it. */
const ENDLESS = { ignore_eos: true, max_tokens: 4000, temperature: 0 };
const QUESTION = { messages: [{ role: "user", content: "What is 7 + 8?" }], temperature: 0 };

interface Frame {
  choices?: {
    delta?: { content?: string };
    text?: string;
    message?: { content: string };
    finish_reason?: string | null;
  }[];
  error?: { code: string; message: string; hint: string };
}

function post(server: Server, body: object, path = CHAT): Promise<Response> {
  return fetch(`${server.url}${path}`, { method: "POST", body: JSON.stringify(body) });
}

/** A stream that is known to run: its first bytes have come. */
async function openStream(server: Server, body: object, path = CHAT) {
  const response = await post(server, { ...body, stream: true }, path);
  expect(response.status).toBe(200);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let text = decoder.decode((await reader.read()).value, { stream: true });
  return {
    /** All frames, once the server has ended the stream. Rejects when the connection broke. */
    async finish(): Promise<(Frame | "[DONE]")[]> {
      for (let step = await reader.read(); !step.done; step = await reader.read()) {
        text += decoder.decode(step.value, { stream: true });
      }
      const data = text.split("\n\n").filter((frame) => frame.startsWith("data: "));
      return data.map((frame) => (frame === "data: [DONE]" ? frame.slice(6) : JSON.parse(frame.slice(6))));
    },
    leave: () => reader.cancel(),
  };
}

async function answer(server: Server): Promise<string> {
  const body = (await (await post(server, QUESTION)).json()) as Frame;
  return body.choices?.[0]?.message?.content ?? JSON.stringify(body);
}

describe("an engine is killed", () => {
  test("under load: who had got something is told, who had not goes on on the next engine", async () => {
    // Room for four whole answers: none has to leave the cache for another.
    const args = ["--model", cacheModel(TINY_SPEC), "--ctx", "16384", "--parallel", "4"];
    await using server = disposable(await startBinary({ args }));
    const path = "/v1/completions";
    const endless = { prompt: "Once upon a time", ...ENDLESS };
    const short = { ...endless, max_tokens: 5 };
    // The engine is up before any of them counts its time.
    await post(server, short, path);
    const streams = await Promise.all([1, 2, 3].map(() => openStream(server, endless, path)));
    const whole = post(server, endless, path);
    await waitFor("four to run", async () => (await readEngine(server.url)).stats.running === 4);
    // A fifth waits in line: four sequences are decoded at once.
    const waiting = openStream(server, short, path);
    let before = Number.POSITIVE_INFINITY;
    await waitFor("all to be there, and four to have begun", async () => {
      const { stats } = await readEngine(server.url);
      if (stats.waiting === 1) before = Math.min(before, stats.decodedTokens);
      return stats.decodedTokens >= before + 40;
    });
    const { pid } = await readEngine(server.url);
    process.kill(pid, "SIGKILL");
    for (const stream of streams) {
      const last = (await stream.finish()).at(-1) as Frame;
      expect(last.error).toMatchObject({ code: "engine_crashed", message: expect.stringContaining("SIGKILL") });
    }
    // Its client had nothing of it yet, so it begins anew.
    const answered = await whole;
    expect(answered.status).toBe(200);
    expect(((await answered.json()) as Frame).choices?.[0]?.finish_reason).toBe("length");
    const frames = await (await waiting).finish();
    expect(frames.at(-1)).toBe("[DONE]");
    const reasons = frames.map((frame) => (frame === "[DONE]" ? null : frame.choices?.[0]?.finish_reason));
    expect(reasons.filter((reason) => reason)).toEqual(["length"]);
    expect((await post(server, short, path)).status).toBe(200);
    expect((await readEngine(server.url)).pid).not.toBe(pid);
    expect(await isRunning(pid)).toBe(false);
  });

  test("and the next one, too: the request that both had is refused, and others are served", async () => {
    await using server = disposable(await startBinary({ args: ["--model", cacheModel(TINY_SPEC)] }));
    // The likeliest token by far is one that no text is made of, so the answer never begins.
    const silent = { prompt: "Once", logit_bias: { "1": 100 }, ...ENDLESS };
    const whole = post(server, silent, "/v1/completions");
    let pid = 0;
    for (let deaths = 1; deaths <= 2; deaths++) {
      await waitFor("the request to run on a new engine", async () => {
        const [engine] = await readEngines(server.url);
        return engine !== undefined && engine.pid !== pid && engine.stats.running === 1;
      });
      pid = (await readEngine(server.url)).pid;
      process.kill(pid, "SIGKILL");
    }
    for (const refused of [await whole, await post(server, silent, "/v1/completions")]) {
      expect(refused.status).toBe(400);
      const { error } = (await refused.json()) as Frame;
      expect(error?.code).toBe("request_crashes_engine");
    }
    await waitFor("another request to be served", async () => {
      const other = { ...silent, logit_bias: {}, max_tokens: 1 };
      return (await post(server, other, "/v1/completions")).ok;
    });
  });

  test("another model's engine in the same server goes on", async () => {
    const args = ["--model", cacheModel(TINY_SPEC), "--model", join(import.meta.dir, "../../src/demo/demo.gguf")];
    await using server = disposable(await startBinary({ args }));
    const ids = (await (await fetch(`${server.url}/v1/models`)).json()) as { data: { id: string }[] };
    const [tiny = "", demo = ""] = ids.data.map(({ id }) => id);
    const text = { model: tiny, prompt: "Once upon a time", ignore_eos: true, temperature: 0, max_tokens: 400 };
    const alone = (await (await post(server, text, "/v1/completions")).json()) as Frame;
    const other = await openStream(server, text, "/v1/completions");
    const doomed = await openStream(server, { ...QUESTION, ...ENDLESS, model: demo });
    const engine = (await readEngines(server.url)).find(({ model }) => model === demo);
    process.kill(engine?.pid as number, "SIGKILL");
    expect(((await doomed.finish()).at(-1) as Frame).error?.code).toBe("engine_crashed");
    const frames = await other.finish();
    expect(frames.at(-1)).toBe("[DONE]");
    const whole = frames.map((frame) => (frame === "[DONE]" ? "" : (frame.choices?.[0]?.text ?? ""))).join("");
    expect(whole).toBe(alone.choices?.[0]?.text as string);
  });

  test("again and again: the server waits longer before it starts another", async () => {
    await using server = disposable(await startBinary());
    const seconds: number[] = [];
    for (let deaths = 1; deaths <= 3; deaths++) {
      expect(await answer(server)).toBe("15");
      process.kill((await readEngine(server.url)).pid, "SIGKILL");
      await waitFor("the death to be noticed", async () => (await readEngines(server.url)).length === 0);
      if (deaths === 1) continue;
      const refused = await post(server, QUESTION);
      expect(refused.status).toBe(503);
      const { error } = (await refused.json()) as Frame;
      expect(error?.code).toBe("engine_crashed");
      expect(error?.message).toContain(`died ${deaths} times in a row`);
      seconds.push(Number(/starts in (\d+) s/.exec(error?.message ?? "")?.[1]));
      const health = (await (await fetch(`${server.url}/api/health`)).json()) as { status: string };
      expect(health.status).toBe("degraded");
      // What the message promises, it keeps.
      await waitFor("another engine", async () => (await answer(server)) === "15");
    }
    expect(seconds).toEqual([1, 2]);
  });
});

describe("an engine that nobody asks", () => {
  test("ends with --sleep-after, and the next request wakes it", async () => {
    await using server = disposable(await startBinary({ args: ["--sleep-after", "0.2"] }));
    expect(await answer(server)).toBe("15");
    await waitFor("the engine to sleep", async () => (await readEngines(server.url)).length === 0);
    const { data } = (await (await fetch(`${server.url}/v1/models`)).json()) as { data: { state: string }[] };
    expect(data[0]?.state).toBe("asleep");
    const health = (await (await fetch(`${server.url}/api/health`)).json()) as { status: string };
    expect(health.status).toBe("healthy");
    expect(await answer(server)).toBe("15");
  });
});

describe("the server ends", () => {
  test("by SIGKILL: its engines end too", async () => {
    await using server = disposable(await startBinary());
    await openStream(server, { ...QUESTION, ...ENDLESS });
    const { pid } = await readEngine(server.url);
    expect(await isRunning(pid)).toBe(true);
    server.kill("SIGKILL");
    await waitFor("the engine to end", async () => !(await isRunning(pid)));
  });

  test("by SIGTERM: a running stream finishes, new connections are refused, idle ones do not hold it up", async () => {
    await using server = disposable(await startBinary());
    const idle = await openRaw(server.url);
    const stream = await openStream(server, { ...QUESTION, ...ENDLESS, max_tokens: 600 });
    const { pid } = await readEngine(server.url);
    server.kill("SIGTERM");
    await waitFor("new connections to be refused", async () => {
      const refused = await fetch(`${server.url}/health`, { signal: AbortSignal.timeout(5000) }).catch(() => null);
      return refused === null;
    });
    const frames = await stream.finish();
    expect(frames.at(-1)).toBe("[DONE]");
    const reasons = frames.map((frame) => (frame === "[DONE]" ? null : frame.choices?.[0]?.finish_reason));
    expect(reasons.filter((reason) => reason)).toEqual(["length"]);
    await waitFor("the server to end", () => server.exitCode() !== null);
    expect(server.exitCode()).toBe(0);
    expect(await isRunning(pid)).toBe(false);
    idle.destroy();
  });

  test("by a second SIGTERM: at once", async () => {
    await using server = disposable(await startBinary());
    const stream = await openStream(server, { ...QUESTION, ...ENDLESS });
    const { pid } = await readEngine(server.url);
    server.kill("SIGTERM");
    await waitFor("the first to be noticed", () => server.logTail().includes("finishing the requests"));
    server.kill("SIGTERM");
    // The stream did not come to its end: it has no last frame.
    const frames = await stream.finish().catch(() => []);
    expect(frames).not.toContain("[DONE]");
    await waitFor("the server to end", () => server.exitCode() !== null);
    await waitFor("the engine to end", async () => !(await isRunning(pid)));
  });

  test("with --exit-with-parent: when the program that started it is killed", async () => {
    using home = makeFolder();
    const script = `const child = Bun.spawn([${JSON.stringify(BINARY)}, "serve", "--port", "0", "--ready-json", "--exit-with-parent"],
      { stdout: "inherit", stderr: "ignore", stdin: "ignore" }); await child.exited;`;
    const parent = Bun.spawn([process.execPath, "-e", script], {
      env: homeEnvironment(home.path),
      stdout: "pipe",
      stderr: "inherit",
    });
    const reader = parent.stdout.getReader();
    let line = "";
    while (!line.includes("\n")) line += new TextDecoder().decode((await reader.read()).value);
    const ready = JSON.parse(line) as { url: string; pid: number };
    await fetch(`${ready.url}${CHAT}`, { method: "POST", body: JSON.stringify(QUESTION) });
    const { pid } = await readEngine(ready.url);
    parent.kill("SIGKILL");
    await waitFor("the server to end", async () => !(await isRunning(ready.pid)));
    await waitFor("the engine to end", async () => !(await isRunning(pid)));
  });
});

describe("the start", () => {
  test("a port in use: exit code 3, and the way out", async () => {
    const taken = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    try {
      const { code, stdout, stderr } = await runBinary(["serve", "--port", String(taken.port), "--ready-json"]);
      expect(code).toBe(3);
      expect(stdout).toBe("");
      expect(stderr).toContain(`127.0.0.1:${taken.port} is in use by another program`);
      expect(stderr).toContain("--port");
    } finally {
      taken.stop(true);
    }
  });

  test("--ready-json: one line on stdout and nothing else, whatever happens after", async () => {
    using home = makeFolder();
    const child = Bun.spawn([BINARY, "serve", "--port", "0", "--ready-json", "--log-level", "debug"], {
      env: homeEnvironment(home.path),
      stdout: "pipe",
      stderr: "ignore",
    });
    const reader = child.stdout.getReader();
    let out = "";
    while (!out.includes("\n")) out += new TextDecoder().decode((await reader.read()).value);
    const ready = JSON.parse(out) as Record<string, unknown>;
    expect(Object.keys(ready).sort()).toEqual(["pid", "url", "version"]);
    expect(ready.pid).toBe(child.pid);
    await fetch(`${ready.url}${CHAT}`, { method: "POST", body: JSON.stringify(QUESTION) });
    const raw = await openRaw(String(ready.url));
    raw.write(rawPost(CHAT, "{"));
    await raw.read((text) => text.includes("invalid_request"));
    raw.destroy();
    child.kill("SIGTERM");
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      out += new TextDecoder().decode(step.value);
    }
    expect(out.trimEnd().split("\n")).toHaveLength(1);
    expect(await child.exited).toBe(0);
  });
});

function disposable(server: Server): Server & AsyncDisposable {
  return { ...server, [Symbol.asyncDispose]: () => server.stop() };
}
