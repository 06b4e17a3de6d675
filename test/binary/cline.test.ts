// Cline's own command line program does a task against the compiled binary: it reads a file, changes it and answers, by
// tools of its own, with a model whose answers are written down.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFolder, startBinary } from "../support/binary.ts";
import { type ClineRun, fetchCline, startCline } from "../support/cline.ts";
import { cacheScriptedModel, scriptCall } from "../support/scripted-model.ts";
import type { Server } from "../support/server.ts";

const cline = await fetchCline();
if (cline.kind === "absent") console.log(`Cline is not tried: ${cline.reason}`);

const ANSWER = ["The list is changed: ", "it says oat milk now."] as const;
const SCRIPT = [
  ["I read the list first.\n", scriptCall("read_files", { files: [{ path: "list.txt" }] })],
  // What must be there comes first, as in every answer that follows a schema.
  [scriptCall("editor", { path: "list.txt", new_text: "oat milk", old_text: "milk" })],
  ANSWER,
] as const;
/** Its prompt and tools are 22 KB, and each byte is a token of this model. */
const CONTEXT_TOKENS = 65_536;
/** Asked for flags at each start, whatever is opted out of; the proxy forwards nothing. */
const FLAGS_HOST = "CONNECT data.cline.bot:443 HTTP/1.1";
/** Two starts of Cline, and its long prompt on a busy machine. */
const TIMEOUT_MS = 240_000;

interface AgentEvent {
  type: string;
  contentType?: string;
  toolName?: string;
  input?: unknown;
  cacheReadTokens?: number;
}

const readEvents = ({ events }: ClineRun, type: string): AgentEvent[] =>
  events
    .filter((line) => line.type === "agent_event")
    .map((line) => line.event as AgentEvent)
    .filter((event) => event.type === type);

describe.skipIf(cline.kind === "absent")("Cline", () => {
  let server: Server;

  beforeAll(async () => {
    server = await startBinary({ args: ["--model", cacheScriptedModel(SCRIPT), "--ctx", String(CONTEXT_TOKENS)] });
  });
  afterAll(() => server?.stop());

  test(
    "reads a file, edits it and says so",
    async () => {
      if (cline.kind === "absent") throw new Error(cline.reason);
      using home = makeFolder();
      using work = makeFolder();
      const list = join(work.path, "list.txt");
      writeFileSync(list, "eggs\nmilk\nbread\n");
      using program = startCline(cline.path, home.path);
      const data = ["--data-dir", join(home.path, "data")];
      const account = ["-p", "openai", "-k", "x", "-m", "default", "-b", `${server.url}/v1`, ...data];
      expect((await program.run(work.path, "auth", ...account)).code).toBe(0);
      const settings = ["--json", "-t", "60", ...data, "-P", "openai", "-m", "default", "-c", work.path];
      const run = await program.run(work.path, ...settings, "Make it oat milk.");
      if (run.code !== 0) throw new Error(`Cline ended with ${run.code}:\n${run.log}`);

      expect(readFileSync(list, "utf8")).toBe("eggs\noat milk\nbread\n");
      const calls = readEvents(run, "content_start").filter((event) => event.contentType === "tool");
      expect(calls.map(({ toolName, input }) => [toolName, input])).toEqual([
        ["read_files", { files: [{ path: "list.txt" }] }],
        ["editor", { path: "list.txt", new_text: "oat milk", old_text: "milk" }],
      ]);
      expect(run.events.at(-1)).toMatchObject({ type: "run_result", finishReason: "completed", text: ANSWER.join("") });
      // The second and third turn read only what is new in them.
      const cached = readEvents(run, "usage").map((event) => event.cacheReadTokens ?? 0);
      expect(cached[1]).toBeGreaterThan(20_000);
      expect(cached[2]).toBeGreaterThan(cached[1] ?? 0);
      expect(program.strays().filter((line) => line !== FLAGS_HOST)).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
