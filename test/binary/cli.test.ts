// The command line of the compiled binary: where settings come from, what a mistake is told, exit codes, and the chat in a
// real terminal.

import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { BINARY, homeEnvironment, makeFolder, runBinary, startBinary, waitFor } from "../support/binary.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { TINY_SPEC } from "../support/model-specs.ts";

const DEMO = join(import.meta.dir, "../../src/demo/demo.gguf");
const folder = mkdtempSync(join(tmpdir(), "mlo-cli-"));
const home = join(folder, "home");
mkdirSync(join(home, ".config/ml-offload"), { recursive: true });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (args: string[], env: Record<string, string> = {}, input?: string) =>
  runBinary(args, { env: homeEnvironment(home, env), cwd: folder, ...(input === undefined ? {} : { input }) });

describe("settings", () => {
  const file = join(home, ".config/ml-offload/config.yaml");

  test("flags win over variables, those over the file, that over the defaults", async () => {
    writeFileSync(file, "port: 1111\nctx: 2222\nparallel: 3\nmodel: sub/file.gguf\ncors_origin: https://a.example\n");
    const env = { ML_OFFLOAD_PORT: "4444", ML_OFFLOAD_CTX: "5555", ML_OFFLOAD_BATCH_SIZE: "" };
    const printed = await run(["serve", "--print-config", "--json", "--port", "6666", "--port=7777"], env);
    expect(printed).toMatchObject({ code: 0, stderr: "" });
    const { file: path, settings } = JSON.parse(printed.stdout);
    expect(path).toBe(file);
    expect(settings.port).toEqual({ value: 7777, origin: "flag" });
    expect(settings.ctx).toEqual({ value: 5555, origin: "env" });
    expect(settings.parallel).toEqual({ value: 3, origin: "file" });
    // A path in the file is meant from where the file is; an empty variable is none.
    expect(settings.model).toEqual({ value: [join(home, ".config/ml-offload/sub/file.gguf")], origin: "file" });
    expect(settings.batch_size).toEqual({ value: 2048, origin: "default" });
    expect(settings.models_dir.value).toEqual([join(home, ".local/share/ml-offload/models")]);
  });

  test("as text it is a config file that says the same", async () => {
    writeFileSync(file, "parallel: 3\n");
    const { stdout } = await run(["serve", "--print-config", "--ctx", "99", "x.gguf"]);
    expect(stdout).toContain(`# config file: ${file}`);
    expect(stdout).toMatch(/^parallel: 3 +# file$/m);
    const copy = join(folder, "copy.yaml");
    writeFileSync(copy, stdout);
    const again = await run(["serve", "--config", copy, "--print-config", "--json"]);
    const { settings } = JSON.parse(again.stdout);
    expect([settings.ctx.value, settings.parallel.value]).toEqual([99, 3]);
    expect(settings.model.value).toEqual([join(folder, "x.gguf")]);
  });

  test("another file by flag, or by variable", async () => {
    const other = join(folder, "other.yaml");
    writeFileSync(other, "ctx: 321\n");
    const origin = async (args: string[], env: Record<string, string> = {}) =>
      JSON.parse((await run(["serve", "--print-config", "--json", ...args], env)).stdout).settings.ctx.value;
    expect(await origin(["--config", "other.yaml"])).toBe(321);
    expect(await origin([], { ML_OFFLOAD_CONFIG: other })).toBe(321);
  });

  test("mistakes in it are told with the name and the place", async () => {
    const told = async (content: string) => {
      writeFileSync(file, content);
      const result = await run(["serve", "--print-config"]);
      expect({ code: result.code, stdout: result.stdout }).toEqual({ code: 2, stdout: "" });
      return result.stderr;
    };
    expect(await told("modle: x\n")).toContain('unknown key "modle"; did you mean model?');
    expect(await told("port: many\n")).toContain(
      'port in the config file must be a whole number from 0 to 65535, not "many"',
    );
    expect(await told("port: [\n")).toContain(`${file} is not valid YAML`);
    expect(await told("- 1\n")).toContain('must hold "key: value" lines');
    rmSync(file);
    expect((await run(["serve", "--config", "none.yaml"])).stderr).toContain("none.yaml can't be read");
  });

  test("a misspelt variable is a warning", async () => {
    const server = await startBinary({ env: { ML_OFFLOAD_PARALEL: "2" } });
    expect(server.logTail()).toContain(
      "ML_OFFLOAD_PARALEL is not known and has no effect; did you mean ML_OFFLOAD_PARALLEL?",
    );
    await server.stop();
  });

  test("so is a model that can't be served", async () => {
    const cut = join(folder, "cut.gguf");
    writeFileSync(cut, (await Bun.file(DEMO).bytes()).subarray(0, 100_000));
    const server = await startBinary({ args: ["--model", "/no/such.gguf", "--model", cut] });
    expect(server.logTail()).toContain("the model file /no/such.gguf does not exist");
    expect(server.logTail()).toContain(`${cut} is damaged`);
    const refused = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ model: "cut", messages: [{ role: "user", content: "hi" }] }),
    });
    expect(refused.status).toBe(500);
    expect(await refused.text()).toContain("model_damaged");
    await server.stop();
  });
});

describe("mistakes on the command line", () => {
  test.each([
    [["serv"], 'there is no command "serv"; did you mean serve?'],
    [["serve", "--prot", "1"], '"serve" has no option --prot; did you mean --port?'],
    [["serve", "--no-redy-json"], "did you mean --no-ready-json?"],
    [["--port", "1"], "the option --port must come after a command"],
    [["serve", "--port"], "--port needs a value"],
    [["serve", "--host", "--port", "1"], "--host needs a value"],
    [["serve", "--port", "70000"], '--port must be a whole number from 0 to 65535, not "70000"'],
    [["serve", "--port", "0x10"], "--port must be a whole number"],
    [["serve", "--log-level", "loud"], "one of debug, info, warn, error"],
    [["serve", "--ubatch-size", "4096"], "must not be over --batch-size"],
    [["serve", "--speculate", "draft"], "--speculate draft needs --draft-model"],
    [["serve", "--speculate", "mtp", "--draft-model", "x.gguf"], "--draft-model has no use"],
    [["run"], "run needs a model"],
    [["run", "demo", "--max-tokens", "-1", "hi"], "--max-tokens must be"],
    [["licenses", "all"], '"licenses" does not take the argument "all"'],
    [["help", "foo"], 'there is no command "foo"'],
    [["engine"], "started by the server"],
  ])("%p", async (args, message) => {
    const result = await run(args);
    expect({ code: result.code, stdout: result.stdout }).toEqual({ code: 2, stdout: "" });
    expect(result.stderr).toContain(message);
    expect(result.stderr).toContain("hint: ");
    expect(result.stderr).not.toContain("    at ");
  });

  test("every command has its help, by either way", async () => {
    for (const command of ["serve", "run", "licenses", "version"]) {
      const help = await run([command, "--help"]);
      expect(help).toMatchObject({ code: 0, stderr: "" });
      expect(help.stdout).toContain(`Usage: ml-offload ${command}`);
      expect((await run(["help", command])).stdout).toBe(help.stdout);
    }
  });

  test("an adapter that can't be used: exit code 2", async () => {
    for (const lora of ["none.gguf", `${DEMO}=0.5`, `${DEMO}=1000`]) {
      const refused = await run(["serve", "--port", "0", "--lora", lora]);
      expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 2, stdout: "" });
      expect(refused.stderr).toContain("--lora: ");
    }
  });

  test("an address that can't be had: exit code 3", async () => {
    const elsewhere = await run(["serve", "--host", "192.0.2.1", "--port", "0"]);
    expect(elsewhere.code).toBe(3);
    expect(elsewhere.stderr).toContain("--host");
  });
});

describe("run", () => {
  const ask = ["What is 7 + 8?", "--temperature", "0"];

  test("a file by its path, whatever else lies in the folder", async () => {
    mkdirSync(join(folder, "work/demo"), { recursive: true });
    copyFileSync(DEMO, join(folder, "work/mine.gguf"));
    const at = (model: string) =>
      runBinary(["run", model, ...ask], { env: homeEnvironment(home), cwd: join(folder, "work") });
    for (const model of ["mine.gguf", "./mine.gguf", join(folder, "work/mine.gguf"), "demo"]) {
      expect(await at(model)).toEqual({ code: 0, stdout: "15\n", stderr: "" });
    }
  });

  test("failures: exit code 1, and the reason", async () => {
    const unknown = await run(["run", "dmo", "hi"]);
    expect(unknown).toMatchObject({ code: 1, stdout: "" });
    expect(unknown.stderr).toContain('"dmo" does not exist');
    expect(unknown.stderr).toContain("demo");
    const noModel = join(folder, "text.gguf");
    writeFileSync(noModel, "just text");
    const text = await run(["run", noModel, "hi"]);
    expect(text).toMatchObject({ code: 1, stdout: "" });
    expect(text.stderr).toContain("is not a GGUF file");
    const nobody = await run(["run", "demo", "hi", "--server", "http://127.0.0.1:9"]);
    expect(nobody.code).toBe(1);
    expect(nobody.stderr).toContain("http://127.0.0.1:9 does not answer");
    expect((await run(["run", "demo"], {}, "")).code).toBe(2);
  });

  test("files that can't be used beside the model: exit code 2, as `serve` has it", async () => {
    const noDraft = join(folder, "draft.gguf");
    writeFileSync(noDraft, "just text");
    for (const [flag, file] of [
      ["--lora", "none.gguf"],
      ["--lora", DEMO],
      ["--draft-model", noDraft],
      ["--draft-model", join(folder, "none.gguf")],
    ] as const) {
      const served = await run(["serve", "--port", "0", flag, file]);
      const ran = await run(["run", "demo", "hi", flag, file]);
      expect([flag, file, ran.code, served.code]).toEqual([flag, file, 2, 2]);
      expect(ran.stdout).toBe("");
      expect(ran.stderr).toMatch(/^error: .*\nhint: ./);
    }
  });

  test("a prompt and stdin together, and a server that runs already", async () => {
    const server = await startBinary();
    const args = ["run", "demo", "What is", "--server", server.url, "--temperature", "0", "--json"];
    const answer = await run(args, {}, "7 + 8?\n");
    expect(answer.code).toBe(0);
    expect(JSON.parse(answer.stdout).content).not.toBe("");
    await server.stop();
  });

  test("a reader that has seen enough ends it without a word", async () => {
    using own = makeFolder();
    const command = `"$0" run "$1" Once --temperature 0 | head -c 3`;
    const child = Bun.spawn(["/bin/sh", "-c", command, BINARY, cacheModel(TINY_SPEC)], {
      env: homeEnvironment(own.path),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    expect(await new Response(child.stderr).text()).toBe("");
    expect(await child.exited).toBe(0);
  });

  test("SIGINT stops one answer: what came is kept, exit code 130, nothing is left", async () => {
    using own = makeFolder();
    const child = Bun.spawn([BINARY, "run", cacheModel(TINY_SPEC), "Once", "--temperature", "0"], {
      env: homeEnvironment(own.path),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const reader = child.stdout.getReader();
    const first = await reader.read();
    expect(first.done).toBe(false);
    child.kill("SIGINT");
    for (let step = first; !step.done; ) step = await reader.read();
    expect(await child.exited).toBe(130);
  });
});

const SCRIPT = Bun.which("script");
if (SCRIPT === null) console.error("skipped: the chat in a terminal (util-linux's `script` is not there)");

describe.skipIf(SCRIPT === null || process.platform !== "linux")("run in a terminal", () => {
  const chats: Subprocess[] = [];
  // Only those of a failed test still run.
  afterAll(() => {
    for (const chat of chats) chat.kill("SIGKILL");
  });

  function openChat(args: string[]) {
    const child = Bun.spawn([SCRIPT ?? "", "-qefc", [BINARY, "run", ...args].map(quote).join(" "), "/dev/null"], {
      env: homeEnvironment(home, { TERM: "xterm", SHELL: "/bin/sh" }),
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    chats.push(child);
    let screen = "";
    const drained = (async () => {
      const decoder = new TextDecoder();
      for await (const chunk of child.stdout) screen += decoder.decode(chunk, { stream: true });
    })();
    let seen = 0;
    return {
      type(keys: string) {
        seen = screen.length;
        child.stdin.write(keys);
        child.stdin.flush();
      },
      /** Waits until the text shows up after what was typed last. */
      shows: (text: string) => waitFor(`${text} on the screen`, () => screen.slice(seen).includes(text)),
      /** Waits until something follows the text. */
      showsBehind: (text: string) =>
        waitFor(`something behind ${text}`, () => (screen.slice(seen).split(text)[1] ?? "") !== ""),
      async ends(): Promise<number> {
        const code = await child.exited;
        await drained;
        return code;
      },
    };
  }
  const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

  test("it answers, remembers, and leaves by /bye", async () => {
    const chat = openChat(["demo", "--temperature", "0"]);
    await chat.shows(">>> ");
    chat.type("What is 7 + 8?\r");
    await chat.shows("\n15\r\n");
    await chat.shows(">>> ");
    chat.type("/help\r");
    await chat.shows("stop the answer");
    chat.type("/nonsense\r");
    await chat.shows("There is no command /nonsense");
    chat.type("/bye\r");
    expect(await chat.ends()).toBe(0);
  });

  test("Ctrl-C stops the answer and not the chat; at the prompt it ends the chat the second time", async () => {
    const chat = openChat([cacheModel(TINY_SPEC), "--temperature", "0"]);
    await chat.shows(">>> ");
    chat.type("Once upon a time\r");
    await chat.showsBehind("time\r\r\n");
    chat.type("\u0003");
    await chat.shows("(stopped)");
    await chat.shows(">>> ");
    chat.type("\u0003");
    await chat.shows("Ctrl-C again");
    chat.type("\u0003");
    expect(await chat.ends()).toBe(130);
  });

  test("Ctrl-D ends the chat", async () => {
    const chat = openChat(["demo"]);
    await chat.shows(">>> ");
    chat.type("\u0004");
    expect(await chat.ends()).toBe(0);
  });
});
