// `pull MODEL`: downloads a model into the models folder and tells how far it is. Wiring only: how it is fetched is
// src/hub.

import { join } from "node:path";
import { readAvailableMemory } from "../hardware/memory.ts";
import { Hub, type PullEvent } from "../hub/hub.ts";
import { readHubSettings } from "../hub/settings.ts";
import { systemClock } from "../lib/clock.ts";
import { type Environment, resolveFolders } from "../lib/paths.ts";
import { toAppError } from "../protocol/errors.ts";
import { describeError } from "./describe-error.ts";
import { EXIT_CODES, type ExitCode } from "./exit-codes.ts";
import { ProgressLine } from "./progress-line.ts";

export async function pull({ model, json }: { model: string; json: boolean }, env: Environment): Promise<ExitCode> {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort());
  const { stderr } = process;
  const line = new ProgressLine(
    { write: (text) => stderr.write(text), isTty: stderr.isTTY === true, columns: stderr.columns },
    systemClock,
  );
  const onEvent = json ? printJson : (event: PullEvent) => tell(line, event);
  try {
    const hub = new Hub({
      settings: readHubSettings(env),
      root: join(resolveFolders(env).data, "models"),
      availableMemoryBytes: () => readAvailableMemory(),
    });
    const { name } = await hub.pull(model, { signal: stop.signal, onEvent });
    if (!json) process.stdout.write(`${name}\n`);
    return EXIT_CODES.ok;
  } catch (thrown) {
    line.end();
    const error = toAppError(thrown);
    if (json) process.stdout.write(`${JSON.stringify({ type: "error", ...error.toBody() })}\n`);
    stderr.write(describeError(error));
    if (stop.signal.aborted) return EXIT_CODES.interrupted;
    return error.code === "invalid_request" ? EXIT_CODES.usage : EXIT_CODES.failed;
  }
}

function printJson(event: PullEvent): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

function tell(line: ProgressLine, event: PullEvent): void {
  switch (event.type) {
    case "planned":
      line.note(`Downloading ${event.name}`);
      return;
    case "progress":
      line.show(event.file, event.doneBytes, event.totalBytes);
      return;
    case "waiting":
      line.note(`${event.why}; trying again in ${Math.ceil(event.waitMs / 1000)} s`);
      return;
    case "restarting":
      line.note(`${event.why}: beginning anew`);
      return;
    case "verifying":
      line.note(event.sha256 === null ? `${event.file} has no checksum to compare with` : `Checking ${event.file}`);
      return;
    case "done":
      line.note(event.wasThere ? `${event.name} is there already` : `${event.name} is in ${event.folder}`);
  }
}
