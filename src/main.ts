// The program: argv → command. The only place that ends the process. Commands are imported when they are run, so that
// `--version` does not pay for the server.

import packageJson from "../package.json" with { type: "json" };
import pin from "../vendor/llama.cpp.json" with { type: "json" };
import { type Invocation, parseArgv } from "./commands/arguments/argv.ts";
import { describeError } from "./commands/describe-error.ts";
import { EXIT_CODES, type ExitCode } from "./commands/exit-codes.ts";
import { AppError, toAppError } from "./protocol/errors.ts";

async function dispatch(invocation: Invocation): Promise<ExitCode> {
  switch (invocation.command) {
    case "help": {
      const { renderHelp } = await import("./commands/help.ts");
      process.stdout.write(renderHelp(invocation.topic));
      return EXIT_CODES.ok;
    }
    case "version":
      return await printVersion(invocation.json);
    case "licenses":
      return await printNotices();
    case "serve": {
      const { serve } = await import("./commands/serve.ts");
      return await serve(invocation, process.env, process.cwd());
    }
    case "run": {
      const { chat } = await import("./commands/chat.ts");
      return await chat(invocation, process.env, process.cwd());
    }
    case "convert": {
      const { convert } = await import("./commands/convert.ts");
      return await convert(invocation.convert, process.env);
    }
    case "show": {
      const { show } = await import("./commands/show.ts");
      return await show(invocation, process.env, process.cwd());
    }
    case "pull": {
      const { pull } = await import("./commands/pull.ts");
      return await pull(invocation, process.env, process.cwd());
    }
    case "search": {
      const { search } = await import("./commands/search.ts");
      return await search(invocation, process.env, process.cwd());
    }
    case "manage": {
      const { manage } = await import("./commands/manage.ts");
      return await manage(invocation.manage, (text) => process.stdout.write(text));
    }
    case "plan":
    case "recommend": {
      const { plan, recommend } = await import("./commands/plan.ts");
      if (invocation.command === "plan") return await plan(invocation, process.env, process.cwd());
      return await recommend(invocation, process.env, process.cwd());
    }
    case "bench": {
      const { bench } = await import("./commands/bench.ts");
      return await bench(invocation.bench, process.env);
    }
    case "devices": {
      const { devices } = await import("./commands/devices.ts");
      return await devices(invocation, process.env);
    }
    case "probe":
    case "engine":
      return await runChild(invocation);
  }
}

/** What this program starts of itself. */
async function runChild(invocation: Invocation & { command: "probe" | "engine" }): Promise<ExitCode> {
  if (invocation.command === "probe") {
    const { probe } = await import("./commands/probe.ts");
    return await probe(invocation.addon, process.env);
  }
  const { engine } = await import("./commands/engine.ts");
  return engine(invocation.flags, process.env);
}

async function printVersion(json: boolean): Promise<ExitCode> {
  const { renderVersion } = await import("./commands/version.ts");
  const facts = {
    version: packageJson.version,
    bun: Bun.version,
    platform: `${process.platform}-${process.arch}`,
    llamaCpp: { version: pin.version, commit: pin.commit },
  };
  process.stdout.write(renderVersion(facts, json));
  return EXIT_CODES.ok;
}

async function printNotices(): Promise<ExitCode> {
  const { loadNotices, printLicenses } = await import("./commands/licenses.ts");
  printLicenses(await loadNotices());
  return EXIT_CODES.ok;
}

/** What was written to a pipe is still on its way when the process ends: wait until it is taken. */
async function exit(code: ExitCode): Promise<never> {
  await new Promise<void>((resolve) => process.stdout.write("", () => resolve()));
  process.exit(code);
}

// A reader that has seen enough, such as head, is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(EXIT_CODES.ok);
});

try {
  await exit(await dispatch(parseArgv(process.argv.slice(2))));
} catch (thrown) {
  const error = toAppError(thrown);
  process.stderr.write(describeError(error));
  if (!(thrown instanceof AppError) && thrown instanceof Error) process.stderr.write(`${thrown.stack}\n`);
  process.exit(error.code === "invalid_request" ? EXIT_CODES.usage : EXIT_CODES.failed);
}
