// What must hold after every attempt to break the server: it serves, nothing is left of what was tried, and the engine
// holds no native object but its own.

import { expect } from "bun:test";
import { readEngine, waitFor } from "./binary.ts";
import type { Json } from "./http-app.ts";
import type { Server } from "./server.ts";

export const CHAT = "/v1/chat/completions";
export const QUESTION = { messages: [{ role: "user", content: "What is 7 + 8?" }], temperature: 0 };

/** Posts JSON, or the very text or bytes given. */
export async function send(
  server: Server,
  path: string,
  body: object | string | Uint8Array,
): Promise<{ status: number; body: Json }> {
  const sent = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
  const response = await fetch(`${server.url}${path}`, { method: "POST", body: sent as BodyInit });
  return { status: response.status, body: await response.json() };
}

/** The server must be one of the demo model. */
export async function expectServesOn(server: Server): Promise<void> {
  expect(server.exitCode()).toBeNull();
  const { status, body } = await send(server, CHAT, QUESTION);
  expect(status).toBe(200);
  expect(body.choices[0].message.content).toBe("15");
  await waitFor("every request to end", async () => {
    const { stats } = await readEngine(server.url);
    const onlyKept = stats.ledger.used <= stats.retained.tokens;
    return stats.running === 0 && stats.waiting === 0 && onlyKept && stats.handles.job === 0;
  });
  const { handles } = (await readEngine(server.url)).stats;
  expect([handles.prompt, handles.sampler, handles.parser]).toEqual([0, 0, 0]);
}
