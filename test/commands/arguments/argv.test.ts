// The command line: what it means, what it refuses, and that the help shows all of it.

import { describe, expect, test } from "bun:test";
import { parseArgv } from "../../../src/commands/arguments/argv.ts";
import { COMMANDS } from "../../../src/commands/arguments/specs.ts";
import { renderHelp } from "../../../src/commands/help.ts";
import { renderVersion } from "../../../src/commands/version.ts";
import { SERVE_OPTIONS } from "../../../src/config.ts";
import { flagOf } from "../../../src/lib/option.ts";
import { AppError } from "../../../src/protocol/errors.ts";

function serveFlags(...args: string[]): Record<string, readonly string[]> {
  const invocation = parseArgv(["serve", ...args]);
  if (invocation.command !== "serve") throw new Error(`parsed as ${invocation.command}`);
  return Object.fromEntries(invocation.flags);
}

describe("serve", () => {
  test("values with a space and with =, booleans, lists", () => {
    const args = ["--port=1", "--host", "::1", "--ready-json", "--model", "a", "--model=b=c", "--gpu-layers", "-1"];
    expect(serveFlags(...args)).toEqual({
      port: ["1"],
      host: ["::1"],
      ready_json: ["true"],
      model: ["a", "b=c"],
      gpu_layers: ["-1"],
    });
  });

  test("negated booleans", () => {
    expect(serveFlags("--no-ready-json")).toEqual({ ready_json: ["false"] });
    expect(serveFlags("--ready-json=no")).toEqual({ ready_json: ["no"] });
  });

  test("operands are models, also those behind --", () => {
    expect(serveFlags("--model", "a", "b", "--port", "1", "--", "--odd")).toEqual({
      model: ["a", "b", "--odd"],
      port: ["1"],
    });
  });

  test("its own options", () => {
    expect(parseArgv(["serve", "--config", "x", "--print-config", "--json"])).toMatchObject({
      command: "serve",
      configPath: "x",
      printConfig: true,
      json: true,
    });
  });
});

describe("run", () => {
  test("a model, a prompt of several words, options", () => {
    const args = [
      "run",
      "qwen",
      "Say",
      "hello",
      "--server",
      "http://h:1",
      "--max-tokens=5",
      "--temperature",
      "0",
      "--json",
    ];
    expect(parseArgv(args)).toMatchObject({
      command: "run",
      run: {
        model: "qwen",
        prompt: "Say hello",
        server: "http://h:1",
        maxTokens: 5,
        temperature: 0,
        system: null,
        json: true,
      },
    });
  });

  test("without options", () => {
    expect(parseArgv(["run", "qwen", "--ctx", "512"])).toMatchObject({
      run: { model: "qwen", prompt: null, server: null, apiKey: null, maxTokens: null, temperature: null, json: false },
    });
  });
});

test("bench", () => {
  const plain = { urls: [], scenarios: [], runs: 5, model: null, apiKey: null, seed: null, json: false };
  expect(parseArgv(["bench"])).toEqual({ command: "bench", bench: plain });
  const args = [
    "--url",
    "http://a:1",
    "--url=http://b:2",
    "--scenario",
    "stall",
    "--runs",
    "3",
    "--seed",
    "x",
    "--json",
  ];
  const asked = { urls: ["http://a:1", "http://b:2"], scenarios: ["stall"], runs: 3, seed: "x", json: true };
  expect(parseArgv(["bench", ...args])).toEqual({ command: "bench", bench: { ...plain, ...asked } });
});

test("pull", () => {
  const plain = { model: "owner/repo:Q4_0", converts: false, outType: "auto", companions: false, json: false };
  expect(parseArgv(["pull", "owner/repo:Q4_0"])).toMatchObject({ command: "pull", pull: plain });
  const budget = parseArgv(["pull", "owner/repo:Q4_0", "--memory-budget", "1000", "--config", "c.yaml"]);
  expect(budget).toMatchObject({
    flags: new Map([
      ["memory_budget", ["1000"]],
      ["config", ["c.yaml"]],
    ]),
    configPath: "c.yaml",
  });
  const flags = ["--json", "--companions", "--convert", "--outtype", "q8_0"];
  expect(parseArgv(["pull", ...flags, "owner/repo:Q4_0"])).toMatchObject({
    command: "pull",
    pull: { ...plain, converts: true, outType: "q8_0", companions: true, json: true },
  });
});

test("search", () => {
  const plain = {
    words: "",
    task: null,
    capability: null,
    bytesMin: null,
    bytesMax: null,
    fits: false,
    limit: 10,
    json: false,
  };
  expect(parseArgv(["search"])).toMatchObject({ command: "search", search: plain });
  expect(parseArgv(["search", "small", "--task", "chat", "words", "--limit=3", "--json"])).toMatchObject({
    command: "search",
    search: { ...plain, words: "small words", task: "chat", limit: 3, json: true },
  });
  const narrow = ["--can", "tools", "--min-size", "500MB", "--max-size=1.5 GB", "--fits"];
  expect(parseArgv(["search", ...narrow])).toMatchObject({
    command: "search",
    search: { ...plain, capability: "tools", bytesMin: 500_000_000, bytesMax: 1_500_000_000, fits: true },
  });
});

test("help and version", () => {
  expect(parseArgv([])).toEqual({ command: "help", topic: null });
  expect(parseArgv(["--help"])).toEqual({ command: "help", topic: null });
  expect(parseArgv(["serve", "--port", "1", "-h"])).toEqual({ command: "help", topic: "serve" });
  expect(parseArgv(["help", "run"])).toEqual({ command: "help", topic: "run" });
  expect(parseArgv(["--version"])).toEqual({ command: "version", json: false });
  expect(parseArgv(["version", "--json"])).toEqual({ command: "version", json: true });
  expect(parseArgv(["licenses"])).toEqual({ command: "licenses" });
  expect(parseArgv(["engine", "--job", "selftest"])).toMatchObject({ command: "engine", job: "selftest" });
});

describe("refuses", () => {
  test.each([
    [["sevre"], /no command "sevre"; did you mean serve\?/],
    [["--port", "1"], /must come after a command/],
    [["help", "rnu"], /no command "rnu"/],
    [["serve", "--prot", "1"], /"serve" has no option --prot; did you mean --port\?/],
    [["serve", "--no-port"], /no option --no-port/],
    [["serve", "-p", "1"], /no option -p/],
    [["serve", "--port"], /--port needs a value: --port PORT \(a whole number/],
    [["serve", "--host", "--port", "1"], /--host needs a value/],
    [["run"], /run needs a model/],
    [["run", "m", "--temperature", "hot"], /--temperature must be a number from 0 to 100, not "hot"/],
    [["run", "m", "--server", "localhost"], /--server must be a URL/],
    [["run", "m", "--json=maybe"], /--json must be true or false/],
    [["search", "--task", "poems"], /--task must be one of any, chat/],
    [["search", "--can", "fly"], /--can must be one of any, tools/],
    [["search", "--max-size", "big"], /--max-size must be a size such as/],
    [["search", "--limit", "0"], /--limit must be a whole number from 1/],
    [["pull"], /pull needs a model: owner\/repo/],
    [["pull", "a/b", "c/d"], /does not take the argument "c\/d"/],
    [["bench", "--url", "http://a", "--url", "b"], /--url must be a URL such as \S+, not "b"/],
    [["bench", "--runs", "0"], /--runs must be a whole number from 1/],
    [["licenses", "all"], /does not take the argument "all"/],
    [["engine", "--port", "1"], /no option --port/],
  ])("%j", (args, says) => {
    let thrown: unknown;
    try {
      parseArgv(args);
    } catch (caught) {
      thrown = caught;
    }
    expect(thrown).toBeInstanceOf(AppError);
    expect((thrown as AppError).code).toBe("invalid_request");
    expect((thrown as AppError).message).toMatch(says);
  });
});

describe("the help", () => {
  test("lists every command but the hidden one", () => {
    const overview = renderHelp(null);
    for (const command of COMMANDS) expect(overview.includes(`  ${command.name}`)).toBe(command.hidden !== true);
  });

  test.each(COMMANDS.map((command) => [command.name, command] as const))(
    "of %s shows all its options",
    (name, command) => {
      const text = renderHelp(name);
      for (const option of command.options) expect(text).toContain(`  ${flagOf(option.name)}`);
      for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
    },
  );

  test("of serve shows every setting and its default", () => {
    const text = renderHelp("serve");
    for (const option of Object.values(SERVE_OPTIONS)) expect(text).toContain(option.description);
    expect(text).toMatch(/--port PORT .*default 9000/);
  });
});

test("the version, for people and machines", () => {
  const facts = {
    version: "1.2.3",
    bun: "1.0",
    platform: "linux-x64",
    llamaCpp: { version: "v9", commit: "0123456789abcdef" },
  };
  expect(renderVersion(facts, false)).toBe("ml-offload 1.2.3 (llama.cpp v9 012345678, Bun 1.0, linux-x64)\n");
  expect(JSON.parse(renderVersion(facts, true))).toEqual(facts);
});
