// What model files say of machines: requirements, hints and tiers, judged by machines of every size, and by none that is known.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeSize, type MachineSize } from "../../src/hardware/machine-facts.ts";
import { type MachineFacts, UNKNOWN_MACHINE } from "../../src/models/model-file/machine.ts";
import { type ModelDescription, ModelFileError, parseModelFile } from "../../src/models/model-file/parse.ts";
import { ModelRegistry } from "../../src/models/registry.ts";
import type { MachineSnapshot } from "../../src/protocol/machine.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { makeDevice, makeMachine } from "../support/machines.ts";
import { smallModel } from "../support/raw-gguf.ts";

const roots: string[] = [];
afterAll(() => {
  for (const root of roots) rmSync(root, { recursive: true, force: true });
});

const machine = (gigabytes: number | null, cores = 8, deviceGb: (number | null)[] | null = []): MachineFacts => ({
  memory: { totalBytes: gigabytes === null ? null : gigabytes * 1e9, unified: false },
  cpu: { usableCores: cores },
  devices: deviceGb?.map((gb) => ({ totalBytes: gb === null ? null : gb * 1e9 })) ?? null,
});

function parse(content: object, on: MachineFacts = machine(16)): ModelDescription {
  return parseModelFile("/files/a.json", JSON.stringify({ model_id: "a", path: "m", ...content }), {}, on);
}

const outcomes = ({ hardware: { notes } }: ModelDescription) =>
  Object.fromEntries(notes.map(({ key, outcome }) => [key, outcome]));

describe("requirements", () => {
  test("that are met say what is here, and refuse nothing", () => {
    const made = parse({ requirements: { memory_gb: 16, min_cores: 8, compute: "auto" } });
    expect(made.hardware).toEqual({
      notes: [
        {
          key: "requirements.memory_gb",
          outcome: "met",
          reason: "16 GB of memory are asked for, and 16 GB of memory are here",
        },
        { key: "requirements.min_cores", outcome: "met", reason: "8 cores are asked for, and 8 cores are here" },
        { key: "requirements.compute", outcome: "met", reason: "any" },
      ],
      refusal: null,
    });
    expect(made.settings.engine).toEqual({});
    expect(made.withoutEffect).toEqual([]);
  });

  test.each([
    [{ memory_gb: 16.1 }, machine(16), "requirements.memory_gb"],
    [{ min_ram_gb: 64 }, machine(16), "requirements.min_ram_gb"],
    [{ cpu_cores: 9 }, machine(16), "requirements.cpu_cores"],
    [{ vram_gb: 24 }, machine(16), "requirements.vram_gb"],
    [{ min_vram_gb: 24 }, machine(16, 8, [12, 11]), "requirements.min_vram_gb"],
  ])("that are not met refuse the model: %j", (requirements, on, key) => {
    const { refusal } = parse({ requirements }, on).hardware;
    expect(refusal?.code).toBe("plan_refused");
    expect(refusal?.message).toContain(`\`${key}\``);
    expect(refusal?.message).toContain("are asked for, and");
  });

  test("are unknown where the machine is, and that refuses nothing", () => {
    const requirements = { memory_gb: 64, min_cores: 64, vram_gb: 64 };
    const made = parse({ requirements }, UNKNOWN_MACHINE);
    expect(Object.values(outcomes(made))).toEqual(["unknown", "unknown", "unknown"]);
    expect(made.hardware.refusal).toBeNull();
    expect(outcomes(parse({ requirements: { vram_gb: 8 } }, machine(16, 8, [80, null])))).toEqual({
      "requirements.vram_gb": "unknown",
    });
  });

  test("of device memory are met by all devices together, and by memory that is shared", () => {
    expect(outcomes(parse({ requirements: { vram_gb: 24 } }, machine(16, 8, [12, 12])))).toEqual({
      "requirements.vram_gb": "met",
    });
    const shared = { ...machine(32), memory: { totalBytes: 32e9, unified: true } };
    expect(outcomes(parse({ requirements: { gpu_memory_gb: 24 } }, shared))).toEqual({
      "requirements.gpu_memory_gb": "met",
    });
  });

  test("that are recommendations warn", () => {
    const made = parse({ requirements: { min_memory_gb: 8, recommended_memory_gb: 32 } });
    expect(outcomes(made)).toEqual({
      "requirements.min_memory_gb": "met",
      "requirements.recommended_memory_gb": "below",
    });
    expect(made.hardware.refusal).toBeNull();
  });

  test("of a back end are the only ones that are tried", () => {
    expect(parse({ requirements: { compute: "cuda" } }).settings.engine.backend).toEqual(["cuda"]);
    expect(parse({ requirements: { backend: ["gpu"] } }).settings.engine.backend).toEqual(["cuda", "vulkan", "metal"]);
    const settings = { backend: ["vulkan", "cuda", "cpu"] };
    const limited = parse({ requirements: { compute: "gpu" }, settings });
    expect(limited.settings.engine.backend).toEqual(["vulkan", "cuda"]);
    const against = parse({ requirements: { compute: "metal" }, settings });
    expect(against.hardware.refusal).toMatchObject({ code: "plan_refused" });
    expect(against.hardware.refusal?.message).toContain("none of vulkan, cuda, cpu");
  });

  test("that mean nothing here are named", () => {
    const requirements = { neural_engine: true, memory_gb: "much", compute: "abacus", min_cores: -1 };
    const keys = ["neural_engine", "memory_gb", "compute", "min_cores"].map((key) => `requirements.${key}`);
    expect(parse({ requirements }).withoutEffect).toEqual(keys);
    expect(parse({ requirements: ["8 GB"] }).withoutEffect).toEqual(["requirements"]);
  });
});

describe("hints", () => {
  test("become settings under our names and those of others", () => {
    const made = parse({ optimization_hints: { num_threads: 4, context_length: 2048, batch_size: 64, device: "gpu" } });
    expect(made.settings.engine).toEqual({
      threads: 4,
      ctx: 2048,
      batchSize: 64,
      backend: ["cuda", "vulkan", "metal", "cpu"],
    });
    expect(made.hardware.notes).toContainEqual({
      key: "optimization_hints.num_threads",
      outcome: "used",
      reason: "as `settings.threads`: 4",
    });
  });

  test("give way to settings, and leave what they leave", () => {
    const hints = { threads: 4, device: "auto", quantization: "none" };
    const made = parse({ optimization_hints: hints, settings: { threads: 2 } });
    expect(made.settings.engine).toEqual({ threads: 2 });
    expect(Object.values(outcomes(made))).toEqual(["unused", "unused", "unused"]);
    expect(made.withoutEffect).toEqual([]);
  });

  test("that are no settings, out of range, or files are named", () => {
    const hints = { quantization: "int4", threads: 9999, lora: "/x.gguf", chat_template: "x", use_metal: true };
    const made = parse({ optimization_hints: hints });
    expect(made.settings.engine).toEqual({});
    expect(made.withoutEffect).toEqual(Object.keys(hints).map((key) => `optimization_hints.${key}`));
    expect(parse({ optimization_hints: "fast" }).withoutEffect).toEqual(["optimization_hints"]);
  });
});

describe("tiers", () => {
  const tiers = {
    "8gb": { settings: { ctx: 2048 } },
    large: { min_memory_gb: 64, settings: { ctx: 65_536, parallel: 8 } },
    "32GB": { min_cores: 16, settings: { ctx: 32_768 } },
    medium: { min_memory_gb: 32, settings: { ctx: 16_384 } },
  };
  const ctxOn = (on: MachineFacts) =>
    parse({ hardware_scaling: tiers, settings: { ctx: 512 } }, on).settings.engine.ctx;

  test("the most demanding one that holds is chosen, whatever their order", () => {
    expect(ctxOn(machine(128, 32))).toBe(65_536);
    expect(ctxOn(machine(63.9, 32))).toBe(32_768);
    expect(ctxOn(machine(63.9, 15))).toBe(16_384);
    expect(ctxOn(machine(8, 64))).toBe(2048);
    expect(ctxOn(machine(7.9, 64))).toBe(512);
    expect(ctxOn(UNKNOWN_MACHINE)).toBe(512);
  });

  test("the others say why they are not, and what a tier leaves out is as the settings say", () => {
    const made = parse({ hardware_scaling: tiers, settings: { threads: 3 } }, machine(40, 4));
    expect(made.settings.engine).toEqual({ threads: 3, ctx: 16_384 });
    expect(made.hardware.notes).toEqual([
      {
        key: "hardware_scaling.8gb",
        outcome: "unused",
        reason: "hardware_scaling.medium asks for more, and holds as well",
      },
      { key: "hardware_scaling.large", outcome: "unused", reason: "it is for 64 GB of memory and more" },
      { key: "hardware_scaling.32GB", outcome: "unused", reason: "it is for 16 cores and more" },
      { key: "hardware_scaling.medium", outcome: "used", reason: "its conditions hold: 40 GB of memory, 4 cores" },
    ]);
  });

  test("a list has an else, and an upper end", () => {
    const list = [{ settings: { ctx: 64 } }, { max_memory_gb: 8, settings: { ctx: 32 } }];
    const ctx = (gb: number | null) => parse({ hardware_scaling: list }, machine(gb)).settings.engine.ctx;
    expect([4, 16, null].map(ctx)).toEqual([32, 64, 64]);
    expect(parse({ hardware_scaling: list }, machine(16)).hardware.notes[1]).toMatchObject({
      key: "hardware_scaling.2",
      reason: "it is for up to 8 GB of memory",
    });
  });

  test("that know other machines, or have no settings, are named", () => {
    const scaling = { m3_ultra: { threads: 24 }, x: 5, y: { neural_engine: true, settings: {} } };
    expect(parse({ hardware_scaling: scaling }).withoutEffect).toEqual([
      "hardware_scaling.m3_ultra",
      "hardware_scaling.x",
      "hardware_scaling.y",
    ]);
    expect(parse({ hardware_scaling: "much" }).withoutEffect).toEqual(["hardware_scaling"]);
  });

  test("a mistake in a tier's settings is one, whether it is chosen or not", () => {
    for (const [settings, key] of [
      [{ ctxx: 5 }, "ctxx"],
      [{ ctx: -5 }, "ctx"],
    ] as const) {
      const make = () => parse({ hardware_scaling: { big: { min_memory_gb: 500, settings } } });
      expect(make).toThrow(ModelFileError);
      expect(make).toThrow(`\`hardware_scaling.big.settings.${key}\` is wrong`);
    }
  });
});

test("listings refuse what this machine is not for, and judge anew when it has changed", () => {
  const root = mkdtempSync(join(tmpdir(), "mlo-machine-"));
  roots.push(root);
  for (const name of ["models", "files"]) mkdirSync(join(root, name));
  writeFileSync(join(root, "models/m.gguf"), smallModel());
  const scaling = "hardware_scaling: {16gb: {settings: {ctx: 99}}}";
  writeFileSync(join(root, "files/a.yaml"), `model_id: a\npath: m\nrequirements: {memory_gb: 16}\n${scaling}\n`);
  let here = machine(8);
  const registry = new ModelRegistry({
    models: [],
    modelsDirs: [join(root, "models")],
    demoPath: null,
    clock: new FakeClock(),
    modelFiles: { folder: join(root, "files"), env: {}, machine: () => here },
  });
  expect(registry.resolve("a")).toMatchObject({
    error: { code: "plan_refused", message: expect.stringContaining("as a.yaml has it") },
    settings: { engine: {} },
  });
  const before = registry.resolve("a").engineKey;
  here = machine(16);
  registry.rescan();
  expect(registry.resolve("a")).toMatchObject({ error: null, settings: { engine: { ctx: 99 } } });
  expect(registry.resolve("a").described?.hardware.map(({ outcome }) => outcome)).toEqual(["met", "used"]);
  expect(registry.resolve("a").engineKey).not.toBe(before);
});

describe("this machine's size", () => {
  test("is what the snapshot has: memory within all limits, usable cores, each device", () => {
    const devices = [makeDevice({ totalBytes: 24e9 }), makeDevice({ id: "cuda:1", totalBytes: null })];
    const snapshot = makeMachine({ devices });
    expect(describeSize(snapshot)).toEqual({
      memory: { totalBytes: snapshot.memory.totalBytes, unified: false },
      cpu: { usableCores: 8 },
      devices: [{ totalBytes: 24e9 }, { totalBytes: null }],
    });
  });

  test("has no devices where there are none, and unknown ones where some can't be asked", () => {
    expect(describeSize(makeMachine()).devices).toEqual([]);
    const faults = [{ device: null, reason: "The driver hangs.", fix: "Reboot." }];
    expect(describeSize(makeMachine({ faults })).devices).toBeNull();
    expect(describeSize(makeMachine({ platform: "darwin" })).devices).toBeNull();
    expect(describeSize(null)).toEqual(UNKNOWN_MACHINE as MachineSize);
  });

  test("decides what a model file requires of devices", () => {
    const of = (snapshot: MachineSnapshot) =>
      parse({ requirements: { memory_gb: 64 } }, describeSize(snapshot)).hardware.notes.map(({ outcome }) => outcome);
    expect(of(makeMachine())).toEqual(["unmet"]);
    expect(of(makeMachine({ memory: { ...makeMachine().memory, totalBytes: 64e9 } }))).toEqual(["met"]);
    expect(of(makeMachine({ memory: { ...makeMachine().memory, totalBytes: null } }))).toEqual(["unknown"]);
  });
});
