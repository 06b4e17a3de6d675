// A stream of the compiled binary, cut by closing its connection: the generation goes on, and what is resumed is what the
// uncut stream says, by the same model over the same prompt.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readEngine, startBinary, waitFor } from "../support/binary.ts";
import type { Server } from "../support/server.ts";

const BODY = { prompt: "Once upon a time", temperature: 0, max_tokens: 200, ignore_eos: true, stream: true };
const TIMEOUT_MS = 60_000;

let server: Server;

beforeAll(async () => {
  server = await startBinary();
}, TIMEOUT_MS);

afterAll(async () => {
  await server.stop();
});

const post = (seconds: number, signal?: AbortSignal): Promise<Response> =>
  fetch(`${server.url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify(BODY),
    headers: { "X-MLO-Resume": String(seconds) },
    ...(signal === undefined ? {} : { signal }),
  });

/** Without what no two answers share. */
const blank = (text: string): string =>
  text.replaceAll(/"(id|created|prompt_ms|predicted_ms|queued_ms)":("[^"]*"|[\d.]+)/g, "").replace(/"mlo":\{.*\}/, "");

const wholeFrames = (text: string): string => text.slice(0, text.lastIndexOf("\n\n") + 2);

test(
  "cut after a few events, it goes on and is resumed where it was cut",
  async () => {
    const uncut = await (await post(60)).text();
    const client = new AbortController();
    const response = await post(60, client.signal);
    const id = response.headers.get("X-MLO-Stream");
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let seen = "";
    while (seen.length < 2000) seen += new TextDecoder().decode((await reader.read()).value);
    client.abort();
    seen = wholeFrames(seen);
    const last =
      seen
        .match(/^id: (\d+)$/gm)
        ?.at(-1)
        ?.slice(4) ?? "";
    await waitFor("the generation to end without a reader", async () => {
      return (await readEngine(server.url)).stats.running === 0;
    });
    const resumed = await fetch(`${server.url}/api/streams/${id}`, { headers: { "Last-Event-ID": last } });
    expect(resumed.headers.get("Content-Type")).toContain("text/event-stream");
    expect(blank(seen + (await resumed.text()))).toBe(blank(uncut));
  },
  TIMEOUT_MS,
);

test(
  "a client that does not come back in its time frees its place",
  async () => {
    const client = new AbortController();
    const body = { ...BODY, max_tokens: 300, prompt: "Another tale" };
    const response = await fetch(`${server.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "X-MLO-Resume": "1" },
      signal: client.signal,
    });
    const id = response.headers.get("X-MLO-Stream");
    client.abort();
    await waitFor("the stream to be forgotten", async () => {
      return (
        (await fetch(`${server.url}/api/streams/${id}`, { headers: { "Last-Event-ID": "999999" } })).status === 404
      );
    });
    expect((await readEngine(server.url)).stats).toMatchObject({ running: 0, waiting: 0 });
  },
  TIMEOUT_MS,
);
