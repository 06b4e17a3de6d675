// `pull MODEL`: downloads a model into the models folder and tells how far it is. Wiring only: how it is fetched is
// src/hub.

import { join } from "node:path";
import { Hub, type PullEvent } from "../hub/hub.ts";
import { readHubSettings } from "../hub/settings.ts";
import { systemClock } from "../lib/clock.ts";
import type { Environment } from "../lib/paths.ts";
import { quotePath } from "../lib/shell-quote.ts";
import { toAppError } from "../protocol/errors.ts";
import { convert, PLAIN_CONVERSION } from "./convert.ts";
import { describeError } from "./describe-error.ts";
import { EXIT_CODES, type ExitCode } from "./exit-codes.ts";
import { confirmHere } from "./server/header-subject.ts";
import { openMachine } from "./server/machine.ts";
import { type AskedFlags, limitFiles, readServeSettings } from "./server/serve-settings.ts";
import { ProgressLine } from "./text/progress-line.ts";

export interface PullArguments {
  model: string;
  /** Makes a GGUF file of what is none. */
  converts: boolean;
  outType: string;
  companions: boolean;
  json: boolean;
}

export async function pull(
  { pull: args, ...asked }: AskedFlags & { pull: PullArguments },
  env: Environment,
  cwd: string,
): Promise<ExitCode> {
  const { model, json } = args;
  const settings = readServeSettings(asked, env, cwd);
  const machine = openMachine(null, env, settings.folders);
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort());
  const { stderr } = process;
  const line = new ProgressLine(
    { write: (text) => stderr.write(text), isTty: stderr.isTTY === true, columns: stderr.columns },
    systemClock,
  );
  const onEvent = json ? printJson : (event: PullEvent) => tell(line, event, /^https?:/i.test(model));
  try {
    const hub = new Hub({
      settings: readHubSettings(env),
      root: join(settings.folders.data, "models"),
      largestModelBytes: () => limitFiles(machine, settings),
      planHeaders: confirmHere(machine, settings),
    });
    const options = { takesWeights: true, takesCompanions: args.companions, signal: stop.signal, onEvent };
    const { name, weightsFolder } = await hub.pull(model, options);
    if (weightsFolder !== null && args.converts) {
      return await convert({ ...PLAIN_CONVERSION, source: weightsFolder, outType: args.outType, json }, env);
    }
    if (weightsFolder !== null) line.note(`Make a GGUF file of it: ml-offload convert ${quotePath(weightsFolder)}`);
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

/** What the Hub keeps in its git alone has no checksum, and nobody need wonder: an address is another matter. */
function tell(line: ProgressLine, event: PullEvent, isAddress: boolean): void {
  switch (event.type) {
    case "planned":
      for (const tag of event.passedOver ?? []) line.note(`${tag} is passed over: it would not fit with its context`);
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
      if (event.sha256 !== null) line.note(`Checking ${event.file}`);
      else if (isAddress) line.note(`${event.file} has no checksum to compare with`);
      return;
    case "done":
      line.note(event.wasThere ? `${event.name} is there already` : `${event.name} is in ${event.folder}`);
  }
}
