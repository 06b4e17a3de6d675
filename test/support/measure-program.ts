// A program that measures what loads would take, one after the other, and prints each answer as a line of JSON. Its argument
// is a list of settings. Like the real one it is started again as its own child.

import { systemClock } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/lib/log.ts";
import type { EngineSettings } from "../../src/protocol/messages.ts";
import { locateNativeFiles } from "../../src/router/backends/native-files.ts";
import { runJob } from "../../src/router/children/jobs.ts";

const [first = ""] = process.argv.slice(2);
if (first === "engine") {
  await import("../../src/main.ts");
} else {
  const { library } = await locateNativeFiles("", process.env.ML_OFFLOAD_NATIVE_DIR);
  for (const settings of JSON.parse(first) as EngineSettings[]) {
    console.log(JSON.stringify(await runJob(library, { job: "measure", settings }, silentLogger, systemClock)));
  }
}
