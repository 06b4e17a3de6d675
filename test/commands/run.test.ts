// `run` against a small server that plays the API: streams, errors, pipes, the interactive chat.

import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { Readable, Writable } from "node:stream";
import { EXIT_CODES } from "../../src/commands/exit-codes.ts";
import { type RunChatOptions, runChat } from "../../src/commands/run.ts";
import type { ChatTerminal } from "../../src/commands/text/chat-terminal.ts";

type Reply = (body: { messages: { role: string; content: string }[] }, signal: AbortSignal) => Response;

const sse = (...data: unknown[]): string =>
  data.map((item) => `data: ${typeof item === "string" ? item : JSON.stringify(item)}\n\n`).join("");
const text = (content: string) => ({ choices: [{ delta: { content } }] });
const finish = { choices: [{ delta: {}, finish_reason: "stop" }] };
const usage = { choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } };

const seen: { body: Record<string, unknown>; authorization: string | null }[] = [];
let reply: Reply;
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  async fetch(request) {
    const body = (await request.json()) as Parameters<Reply>[0];
    seen.push({
      body: body as unknown as Record<string, unknown>,
      authorization: request.headers.get("authorization"),
    });
    return reply(body, request.signal);
  },
});
afterAll(() => server.stop(true));

beforeEach(() => {
  seen.length = 0;
  reply = () => new Response(sse(text("Hel"), text("lo"), finish, usage, "[DONE]"));
});

function setUp(options: Partial<RunChatOptions> & { input?: string } = {}) {
  let output = "";
  let errors = "";
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      output += chunk;
      done();
    },
  });
  const { input, ...rest } = options;
  const run = runChat({
    baseUrl: `${server.url.origin}/`,
    model: "m",
    stdin: Readable.from(input === undefined ? [] : [Buffer.from(input)]),
    stdout,
    stderr: { write: (chunk) => (errors += chunk) },
    isTty: { stdin: false, stdout: false },
    ...rest,
  });
  return { run, output: () => output, errors: () => errors };
}

describe("one answer", () => {
  test("plain, with a line end, from prompt and stdin", async () => {
    const { run, output } = setUp({
      prompt: "Say it",
      input: "the text\n",
      system: "Be kind",
      maxTokens: 9,
      apiKey: "k",
    });
    expect(await run).toBe(EXIT_CODES.ok);
    expect(output()).toBe("Hello\n");
    expect(seen[0]?.authorization).toBe("Bearer k");
    expect(seen[0]?.body).toEqual({
      model: "m",
      messages: [
        { role: "system", content: "Be kind" },
        { role: "user", content: "Say it\n\nthe text" },
      ],
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 9,
    });
  });

  test("as one JSON object", async () => {
    const { run, output } = setUp({ prompt: "p", json: true });
    expect(await run).toBe(EXIT_CODES.ok);
    expect(JSON.parse(output())).toEqual({ model: "m", content: "Hello", finish_reason: "stop", usage: usage.usage });
  });

  test("thoughts are dimmed on a terminal and left out of a pipe", async () => {
    const thought = { choices: [{ delta: { reasoning_content: "hm\u001b]0;x\u0007" } }] };
    reply = () => new Response(sse(thought, text("yes"), finish, "[DONE]"));
    const piped = setUp({ prompt: "p" });
    await piped.run;
    expect(piped.output()).toBe("yes\n");
    const shown = setUp({ prompt: "p", isTty: { stdin: false, stdout: true } });
    await shown.run;
    expect(shown.output()).toBe("\u001b[2mhm]0;x\u001b[0m\n\nyes\n");
  });

  test("without a prompt it says so", async () => {
    const { run, errors } = setUp({ input: " \n" });
    expect(await run).toBe(EXIT_CODES.usage);
    expect(errors()).toContain("no prompt");
  });
});

describe("errors", () => {
  test("the server's own message and hint", async () => {
    const error = { message: 'the model "m" does not exist', code: "model_not_found", hint: "Did you mean n?" };
    reply = () => Response.json({ error }, { status: 404 });
    const { run, output, errors } = setUp({ prompt: "p" });
    expect(await run).toBe(EXIT_CODES.failed);
    expect(errors()).toBe('error: the model "m" does not exist\nhint: Did you mean n?\n');
    expect(output()).toBe("");
  });

  test("an error frame in the stream", async () => {
    reply = () => new Response(sse(text("Hel"), { error: { message: "the engine died", code: "engine_crashed" } }));
    const { run, output, errors } = setUp({ prompt: "p" });
    expect(await run).toBe(EXIT_CODES.failed);
    expect(output()).toBe("Hel\n");
    expect(errors()).toContain("the engine died");
  });

  test("a stream that breaks off, an answer that is no JSON, no server", async () => {
    reply = () => new Response(sse(text("Hel")));
    const cut = setUp({ prompt: "p" });
    expect(await cut.run).toBe(EXIT_CODES.failed);
    expect(cut.errors()).toContain("broke off");
    reply = () => new Response("<html>", { status: 502 });
    const odd = setUp({ prompt: "p" });
    expect(await odd.run).toBe(EXIT_CODES.failed);
    expect(odd.errors()).toContain("502");
    const none = setUp({ prompt: "p", baseUrl: "http://127.0.0.1:1" });
    expect(await none.run).toBe(EXIT_CODES.failed);
    expect(none.errors()).toContain("does not answer");
  });
});

/** Sends one piece, then nothing until the client goes. */
function hang(signal: AbortSignal, onGone: () => void): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(sse(text("Hel"))));
      signal.addEventListener("abort", () => {
        onGone();
        controller.close();
      });
    },
  });
  return new Response(body);
}

test("a signal stops the answer and the request", async () => {
  const stop = new AbortController();
  let gone: () => void;
  const left = new Promise<void>((resolve) => {
    gone = resolve;
  });
  reply = (_body, signal) => {
    setTimeout(() => stop.abort(), 20);
    return hang(signal, () => gone());
  };
  const { run, output } = setUp({ prompt: "p", signal: stop.signal });
  expect(await run).toBe(EXIT_CODES.interrupted);
  expect(output()).toBe("Hel\n");
  await left;
});

/** A person at the terminal: lines, `^C` at the prompt, null for Ctrl-D. */
function typist(inputs: ("^C" | string | null)[]): ChatTerminal & { interrupt: () => void; closed: boolean } {
  let handler: (() => void) | null = null;
  const terminal = {
    closed: false,
    readLine: async () => {
      const next = inputs.shift() ?? null;
      return next === null ? null : next === "^C" ? ("interrupted" as const) : { line: next };
    },
    onInterrupt(next: (() => void) | null) {
      handler = next;
    },
    interrupt: () => handler?.(),
    close() {
      terminal.closed = true;
    },
  };
  return terminal;
}

const isTty = { stdin: true, stdout: true };

describe("a chat", () => {
  test("keeps the history, until it is cleared", async () => {
    const terminal = typist(["one", "two", "", "/clear", "three", "/nope", "/help", "/bye", "never"]);
    const { run, errors } = setUp({ terminal, isTty, system: "S" });
    expect(await run).toBe(EXIT_CODES.ok);
    const histories = seen.map(({ body }) => (body.messages as { content: string }[]).map((turn) => turn.content));
    expect(histories).toEqual([
      ["S", "one"],
      ["S", "one", "Hello", "two"],
      ["S", "three"],
    ]);
    expect(errors()).toContain("no command /nope");
    expect(terminal.closed).toBe(true);
  });

  test("Ctrl-C stops the answer, what was said stays", async () => {
    const terminal = typist(["one", "two"]);
    reply = (body, signal) => {
      if (body.messages.length > 1) return new Response(sse(text("ok"), finish, "[DONE]"));
      setTimeout(() => terminal.interrupt(), 20);
      return hang(signal, () => {});
    };
    const { run, errors } = setUp({ terminal, isTty });
    expect(await run).toBe(EXIT_CODES.ok);
    expect(errors()).toContain("(stopped)");
    expect(seen[1]?.body.messages).toMatchObject([{ content: "one" }, { content: "Hel" }, { content: "two" }]);
  });

  test("Ctrl-C at the prompt warns, a second one ends", async () => {
    const { run, errors } = setUp({ terminal: typist(["^C", "/clear", "^C", "^C", "never"]), isTty });
    expect(await run).toBe(EXIT_CODES.interrupted);
    expect(errors().match(/Ctrl-C again/g)).toHaveLength(2);
    expect(seen).toEqual([]);
  });

  test("an error leaves the chat going and the history without the turn", async () => {
    reply = (body) =>
      body.messages.at(-1)?.content === "bad"
        ? Response.json({ error: { message: "no", code: "invalid_request" } }, { status: 400 })
        : new Response(sse(text("fine"), finish, "[DONE]"));
    const { run, errors } = setUp({ terminal: typist(["bad", "good"]), isTty });
    expect(await run).toBe(EXIT_CODES.ok);
    expect(errors()).toContain("error: no");
    expect(seen[1]?.body.messages).toEqual([{ role: "user", content: "good" }]);
  });
});
