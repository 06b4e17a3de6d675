// Settings from every source, their precedence, and what each mistake is answered with.

import { describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { describeGuessing, guessingFor } from "../src/config/guessing.ts";
import { type ConfigFile, type ConfigSources, formatConfig, loadConfig, resolveConfig } from "../src/config.ts";
import { AppError } from "../src/protocol/errors.ts";

const folders = { config: "/c", data: "/d", state: "/s", cache: "/k" };

function sources(flags: Record<string, string[]> = {}, env: Record<string, string> = {}): ConfigSources {
  return { flags: new Map(Object.entries(flags)), env: { HOME: "/home/a", ...env }, folders, cwd: "/work" };
}

const yaml = (text: string): ConfigFile => ({ path: "/etc/app/config.yaml", text });

function failure(run: () => unknown): AppError {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was refused");
}

describe("precedence", () => {
  test("defaults", () => {
    const { values, origins, filePath } = resolveConfig(sources(), null);
    expect(values).toEqual({
      host: "127.0.0.1",
      port: 9000,
      model: [],
      modelsDir: ["/d/models"],
      discover: true,
      modelConfigDir: "/c/models",
      alias: [],
      backend: [],
      convertType: "auto",
      convertCacheBytes: 0,
      lora: [],
      ctx: 0,
      parallel: 0,
      retained: 64,
      itlMsMax: 0,
      speculate: "auto",
      draftModel: null,
      draftMax: 16,
      kvStore: true,
      kvStoreBytes: 10_737_418_240,
      checkpointBytes: 0,
      pooling: "auto",
      contextShift: false,
      preload: [],
      lowerExplicit: false,
      onOom: "refuse",
      sleepAfterSeconds: 0,
      threads: 0,
      gpuLayers: -1,
      deviceShares: [],
      hostExpertLayers: 0,
      kvType: "f16",
      memoryShare: 0,
      baseShare: 10,
      freeShare: 50,
      deviceShare: 90,
      memoryBudgetBytes: 0,
      autoOptimization: true,
      thermalThrottling: true,
      powerManagement: true,
      batchSize: 2048,
      ubatchSize: 512,
      requestTimeoutSeconds: 0,
      loadTimeoutSeconds: 600,
      bodyLimitBytes: 33_554_432,
      corsOrigin: [],
      allowedHost: [],
      logLevel: "info",
      logFormat: "text",
      readyJson: false,
      exitWithParent: false,
    });
    expect(new Set(Object.values(origins))).toEqual(new Set(["default"]));
    expect(filePath).toBeNull();
  });

  test("flag over variable over file over default", () => {
    const env = { ML_OFFLOAD_PORT: "2", ML_OFFLOAD_CTX: "20" };
    const file = yaml("port: 3\nctx: 30\nparallel: 8\n");
    const { values, origins } = resolveConfig(sources({ port: ["1"] }, env), file);
    expect([values.port, values.ctx, values.parallel, values.host]).toEqual([1, 20, 8, "127.0.0.1"]);
    expect([origins.port, origins.ctx, origins.parallel, origins.host]).toEqual(["flag", "env", "file", "default"]);
  });

  test("the last of a repeated flag counts; an empty variable does not", () => {
    expect(resolveConfig(sources({ port: ["1", "2"] }), null).values.port).toBe(2);
    expect(resolveConfig(sources({}, { ML_OFFLOAD_PORT: "" }), null).origins.port).toBe("default");
  });

  test("the result is frozen", () => {
    const { values, origins } = resolveConfig(sources({ model: ["a.gguf"] }), null);
    expect(Object.isFrozen(values) && Object.isFrozen(values.model) && Object.isFrozen(origins)).toBe(true);
    expect(Object.isFrozen(values.modelsDir)).toBe(true);
  });
});

test("guessing with a draft model needs one, whichever source says it", () => {
  const told = failure(() => resolveConfig(sources({}, { ML_OFFLOAD_SPECULATE: "draft" }), null));
  expect([told.code, told.message]).toEqual(["invalid_request", "--speculate draft needs --draft-model"]);
  const named = resolveConfig(sources({ speculate: ["draft"], draft_model: ["d.gguf"] }), null);
  expect(named.values.draftModel).toBe("/work/d.gguf");
});

describe("values", () => {
  test("paths become absolute, each from where it is meant", () => {
    const env = { ML_OFFLOAD_MODELS_DIR: ["~/m", "n"].join(delimiter) };
    const { values } = resolveConfig(sources({}, env), yaml("model: [a.gguf, /b.gguf]\n"));
    expect(values.model).toEqual(["/etc/app/a.gguf", "/b.gguf"]);
    expect(values.modelsDir).toEqual(["/home/a/m", "/work/n"]);
    expect(resolveConfig(sources({ model: ["x.gguf"] }), null).values.model).toEqual(["/work/x.gguf"]);
    expect(resolveConfig(sources({ lora: ["~/x.gguf=0.5"] }), null).values.lora).toEqual(["/home/a/x.gguf=0.5"]);
  });

  test("other lists are separated by commas in variables, and may be one text in the file", () => {
    const env = { ML_OFFLOAD_CORS_ORIGIN: "https://a.example, http://localhost:3000" };
    const { values } = resolveConfig(sources({}, env), yaml("allowed_host: box.local\n"));
    expect(values.corsOrigin).toEqual(["https://a.example", "http://localhost:3000"]);
    expect(values.allowedHost).toEqual(["box.local"]);
  });

  test.each([
    ["true", true],
    ["1", true],
    ["YES", true],
    ["off", false],
    ["0", false],
  ])("the boolean %s", (text, expected) => {
    expect(resolveConfig(sources({}, { ML_OFFLOAD_READY_JSON: text }), null).values.readyJson).toBe(expected);
  });

  test.each([
    [["off"], "", false],
    [["ON"], "kv_store: false\n", true],
    [[], "kv_store: false\n", false],
    [[], "kv_store: off\n", false],
    [[], "kv_store: on\n", true],
  ] as const)("the switch %j over %j", (flags, file, expected) => {
    const given = flags.length === 0 ? {} : { kv_store: [...flags] };
    expect(resolveConfig(sources(given), yaml(file)).values.kvStore).toBe(expected);
  });

  test("what is kept without having been asked for makes room for sequences", () => {
    const retained = (parallel: string) => resolveConfig(sources({ parallel: [parallel] }), null).values.retained;
    expect([retained("191"), retained("192"), retained("255")]).toEqual([64, 63, 0]);
    expect(resolveConfig(sources({ parallel: ["200"], retained: ["55"] }), null).values.retained).toBe(55);
  });

  test("YAML's own types", () => {
    const { values } = resolveConfig(sources(), yaml("ready_json: true\nrequest_timeout: 1.5\nport: '7'\nctx: null\n"));
    expect([values.readyJson, values.requestTimeoutSeconds, values.port, values.ctx]).toEqual([true, 1.5, 7, 0]);
  });

  test("an empty file is no trouble", () => {
    expect(resolveConfig(sources(), yaml("# nothing\n")).values.port).toBe(9000);
  });
});

describe("guessing", () => {
  test.each([
    ["on", "auto"],
    ["off", "off"],
    ["lookup", "lookup"],
  ])("--speculate %s", (word, mode) => {
    expect(resolveConfig(sources({ speculate: [word] }), null).values.speculate).toBe(mode as "auto");
  });

  test("the switch that it was in a file, and a draft model beside the file", () => {
    const { values } = resolveConfig(sources(), yaml("speculate: false\ndraft_model: tiny.gguf\ndraft_max: 4\n"));
    expect([values.speculate, values.draftMax]).toEqual(["off", 4]);
    expect(values.draftModel).toMatch(/^\/.*\/tiny\.gguf$/);
  });

  test("means for an engine what is guessed from", () => {
    const draft = { modelPath: "/m/tiny.gguf", tokensMax: 8 };
    const head = { tokensMax: 8, required: false };
    const guess = (
      speculate: "auto" | "lookup" | "draft" | "mtp" | "off",
      draftModel: string | null = draft.modelPath,
    ) => describeGuessing({ speculate, draftModel, draftMax: 8 });
    expect(guess("auto")).toEqual({ speculates: true, draft, head });
    expect(guess("auto", null)).toEqual({ speculates: true, draft: null, head });
    expect(guess("lookup")).toEqual({ speculates: true, draft: null, head: null });
    expect(guess("draft")).toEqual({ speculates: false, draft, head: null });
    expect(guess("mtp", null)).toEqual({ speculates: false, draft: null, head: { ...head, required: true } });
    expect(guess("off")).toEqual({ speculates: false, draft: null, head: null });
    expect(() => guess("draft", null)).toThrow("--speculate draft needs --draft-model");
    expect(() => guess("mtp")).toThrow("--draft-model has no use");
  });

  test("means for one model what it can do of that", () => {
    const draft = { modelPath: "/m/tiny.gguf", tokensMax: 8 };
    const head = { tokensMax: 8, required: false };
    const asked = { ...head, required: true };
    const of = (isDefault: boolean, canPredict: boolean, changes = {}) =>
      guessingFor({ draft, head, ...changes }, { isDefault, canPredict });
    expect(of(true, true)).toEqual({ draft, head });
    expect(of(false, true)).toEqual({ draft: null, head });
    expect(of(false, false)).toEqual({ draft: null, head: null });
    expect(of(true, false, { head: asked })).toEqual({ draft, head: asked });
    expect(of(false, true, { head: asked })).toEqual({ draft: null, head });
    expect(of(false, false, { head: asked })).toEqual({ draft: null, head: null });
  });
});

describe("mistakes", () => {
  const cases: [string, () => unknown, RegExp][] = [
    [
      "text for a number",
      () => resolveConfig(sources({ port: ["abc"] }), null),
      /^--port must be a whole number from 0 to 65535, not "abc"/,
    ],
    ["out of range", () => resolveConfig(sources({ port: ["65536"] }), null), /--port.*65535/],
    ["a fraction", () => resolveConfig(sources({ ctx: ["1.5"] }), null), /--ctx/],
    ["an empty number", () => resolveConfig(sources({ ctx: [""] }), null), /--ctx/],
    [
      "a variable",
      () => resolveConfig(sources({}, { ML_OFFLOAD_PARALLEL: "-1" }), null),
      /^ML_OFFLOAD_PARALLEL must be .* from 0/,
    ],
    ["the file", () => resolveConfig(sources(), yaml("gpu_layers: -2\n")), /^gpu_layers in the config file must be/],
    [
      "a list's element",
      () => resolveConfig(sources({ cors_origin: ["*", "example.org"] }), null),
      /--cors-origin.*"example.org"/,
    ],
    [
      "a choice",
      () => resolveConfig(sources({ log_level: ["loud"] }), null),
      /one of debug, info, warn, error, silent, not "loud"/,
    ],
    ["a boolean", () => resolveConfig(sources({ ready_json: ["maybe"] }), null), /--ready-json must be true or false/],
    ["an unknown key", () => resolveConfig(sources(), yaml("prot: 1\n")), /unknown key "prot"; did you mean port\?/],
    ["a list as file", () => resolveConfig(sources(), yaml("- a\n")), /"key: value" lines/],
    ["broken YAML", () => resolveConfig(sources(), yaml("a: [1\n")), /not valid YAML/],
    ["settings that contradict", () => resolveConfig(sources({ batch_size: ["16"] }), null), /--ubatch-size \(512\)/],
    ["neither on nor off", () => resolveConfig(sources({ kv_store: ["yes"] }), null), /--kv-store must be on or off/],
    [
      "more sequences than there are",
      () => resolveConfig(sources({ parallel: ["200"], retained: ["56"] }), null),
      /--parallel \(200\) and --retained \(56\) must not be over 255/,
    ],
    ["a body over the frame", () => resolveConfig(sources({ body_limit: ["33554433"] }), null), /--body-limit/],
  ];

  test.each(cases)("%s", (_name, run, says) => {
    const error = failure(run);
    expect(error.code).toBe("invalid_request");
    expect(error.message).toMatch(says);
  });

  test("a misspelt variable is a warning", () => {
    const env = { ML_OFFLOAD_PROT: "1", ML_OFFLOAD_LLAMA_SRC: "/x", ML_OTHER: "1" };
    const { warnings } = resolveConfig(sources({}, env), null);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("did you mean ML_OFFLOAD_PORT?");
  });
});

describe("the file on disk", () => {
  const folder = mkdtempSync(join(tmpdir(), "mlo-config-"));
  const path = join(folder, "config.yaml");
  writeFileSync(path, "port: 1234\n");

  test("is read from the config folder, may be absent there", () => {
    const at = (config: string): ConfigSources => ({ ...sources(), folders: { ...folders, config } });
    expect(loadConfig(at(folder))).toMatchObject({ filePath: path, values: { port: 1234 } });
    expect(loadConfig(at(join(folder, "none"))).filePath).toBeNull();
  });

  test("must exist when it is named", () => {
    expect(loadConfig(sources(), path).values.port).toBe(1234);
    expect(loadConfig(sources({}, { ML_OFFLOAD_CONFIG: path })).values.port).toBe(1234);
    expect(failure(() => loadConfig(sources(), "missing.yaml")).message).toContain("/work/missing.yaml can't be read");
  });
});

describe("printing", () => {
  test("names each value's origin, and is a config file itself", () => {
    const config = resolveConfig(sources({ port: ["1"], model: ["/a.gguf"] }, { ML_OFFLOAD_CTX: "5" }), null);
    const printed = formatConfig(config, false);
    expect(printed).toMatch(/^port: 1 +# flag$/m);
    expect(printed).toMatch(/^ctx: 5 +# env$/m);
    expect(printed).toMatch(/^host: "127.0.0.1" +# default$/m);
    expect(resolveConfig(sources(), yaml(printed)).values).toEqual(config.values);
  });

  test("as JSON", () => {
    const printed = JSON.parse(formatConfig(resolveConfig(sources(), yaml("port: 3")), true));
    expect(printed.file).toBe("/etc/app/config.yaml");
    expect(printed.settings.port).toEqual({ value: 3, origin: "file" });
  });
});
