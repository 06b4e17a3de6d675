// The shapes of what the server tells of its machine: the only source of their types and documentation. `/vram` has the
// names that clients know; the others are the snapshot of protocol/machine.ts.

import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { HealthReply } from "./schema.ts";

const orNull = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);
const text = (description?: string) => orNull(Type.String(description === undefined ? {} : { description }));
const figure = (description?: string) => orNull(Type.Number(description === undefined ? {} : { description }));
const count = (description?: string) => orNull(Type.Integer(description === undefined ? {} : { description }));
const words = (...values: string[]) => Type.Union(values.map((value) => Type.Literal(value)));

const gib = (what: string) => figure(`${what}, in units of 1024³ bytes; null: not known.`);

export const VramReply = Type.Object({
  devices: Type.Array(
    Type.Object({
      name: Type.String(),
      total_gb: gib("Its memory"),
      used_gb: gib("What all programs use of it"),
      free_gb: gib("The rest"),
    }),
  ),
  total_gb: gib("Of all devices"),
  used_gb: gib("Of all devices"),
  free_gb: gib("Of all devices"),
  reason: text("Why a sum is null; null: none is."),
});
export type VramReply = Static<typeof VramReply>;

const Cpu = Type.Object({
  model: text(),
  usableCores: Type.Integer({
    description: "Logical processors that the server may use: affinity and quotas counted in.",
  }),
  physicalCores: count(),
  performanceCores: count(),
  efficiencyCores: count(),
  simd: Type.Array(Type.String()),
  numaNodes: count(),
});

const Memory = Type.Object({
  totalBytes: count("Of the machine, or the tightest limit of a control group."),
  availableBytes: count("What a new process could take without swapping."),
  swapTotalBytes: count(),
  swapFreeBytes: count(),
  limitedBy: text("The control group whose limit the total is; null: it is the machine's own."),
  unified: Type.Boolean({ description: "Processor and GPU share it." }),
  pressure: orNull(words("normal", "warning", "critical")),
});

const Disk = Type.Object(
  { path: text("Null while others than this machine may ask."), totalBytes: count(), freeBytes: count() },
  { description: "Where models are downloaded to." },
);

const Device = Type.Object({
  id: Type.String({ description: "The same after a restart, where the driver gives devices names of their own." }),
  kind: words("cuda", "metal", "rocm", "vulkan", "sycl", "other"),
  name: Type.String(),
  totalBytes: count(),
  usedBytes: count(),
  freeBytes: count(),
  processes: orNull(Type.Array(Type.Object({ pid: Type.Integer(), usedBytes: count() }))),
  utilization: Type.Object({ compute: figure("A share of 1."), memory: figure("A share of 1.") }),
  temperatureCelsius: figure(),
  powerWatts: figure(),
  powerLimitWatts: figure(),
  clocksMhz: Type.Object({ core: figure(), memory: figure() }),
  throttleReasons: orNull(
    Type.Array(Type.String(), {
      description: "Why it is slower than it could be, such as `thermal`; empty: it is not.",
    }),
  ),
  pcie: orNull(Type.Object({ generation: count(), width: count() })),
  computeCapability: text("Such as `9.0`."),
  migParent: text("Of a slice of a device: the name of the whole."),
  recommendedWorkingSetBytes: count("Of Apple's GPUs: what Metal advises as the most."),
  cores: count(),
});

const Power = Type.Object({
  source: orNull(words("mains", "battery")),
  thermalState: orNull(words("nominal", "fair", "serious", "critical")),
});

const Faults = Type.Array(
  Type.Object({
    device: text("Null: all of them."),
    reason: Type.String(),
    fix: Type.String({ description: "What a person can do about it." }),
  }),
  { description: "What is in the machine and can't be used." },
);

const Unknown = Type.Record(Type.String(), Type.String(), {
  description: "Why a figure is null, by its path, such as `devices.0.powerWatts`.",
});

export const HardwareReply = Type.Object({
  takenAt: Type.Integer({ description: "Milliseconds since the epoch." }),
  platform: Type.String(),
  arch: Type.String(),
  cpu: Cpu,
  memory: Memory,
  disk: Disk,
  devices: Type.Array(Device),
  driver: text("Version of the GPU's driver."),
  power: Power,
  neuralEngine: orNull(Type.Boolean({ description: "Apple's." })),
  faults: Faults,
  unknown: Unknown,
  backend: Type.Object(
    {
      devices: orNull(
        Type.Array(
          Type.Object({
            name: Type.String(),
            description: Type.String(),
            kind: words("cpu", "gpu", "integrated-gpu", "accelerator"),
            memoryBytes: Type.Integer(),
          }),
        ),
      ),
      reason: text("Why there is no list."),
    },
    { description: "What llama.cpp's back ends compute on, as they said when they were first asked." },
  ),
});
export type HardwareReply = Static<typeof HardwareReply>;

export const SystemInfoReply = Type.Object({
  name: Type.String(),
  version: Type.String(),
  llamaCpp: Type.Object({ version: Type.String(), commit: Type.String() }),
  plugins: Type.Array(Type.String(), { description: "Backend libraries in load order." }),
  runtime: Type.String(),
  platform: Type.String(),
  arch: Type.String(),
  pid: Type.Integer(),
  uptimeSeconds: Type.Number(),
  residentBytes: Type.Integer({ description: "Memory of the server's own process; engines are others." }),
  cpu: Cpu,
  memory: Memory,
  disk: Disk,
  power: Power,
  driver: text("Version of the GPU's driver."),
  devices: Type.Array(
    Type.Object({ id: Type.String(), kind: Device.properties.kind, name: Type.String(), totalBytes: count() }),
  ),
  unknown: Unknown,
});
export type SystemInfoReply = Static<typeof SystemInfoReply>;

export const StatusReply = Type.Object({
  status: words("healthy", "degraded", "unhealthy"),
  ready: Type.Boolean({ description: "An engine is up, or one can be started." }),
  details: Type.String(),
  version: Type.String(),
  uptimeSeconds: Type.Number(),
  models: Type.Array(
    Type.Object({
      id: Type.String(),
      state: Type.String(),
      default: Type.Boolean(),
      sizeBytes: Type.Integer(),
      pid: count("Of its engine; null: it has none."),
      requests: orNull(
        Type.Object(
          { running: Type.Integer(), waiting: Type.Integer(), paused: Type.Integer() },
          { description: "Sequences of its engine; null: it has none, or it is too busy to say." },
        ),
      ),
    }),
  ),
  requests: Type.Object(
    {
      running: Type.Integer(),
      waiting: Type.Integer(),
      paused: Type.Integer(),
      silentEngines: Type.Integer({ description: "Engines that were too busy to say: theirs are not counted." }),
    },
    { description: "Of all engines." },
  ),
  memory: Memory,
  devices: Type.Array(
    Type.Pick(Device, [
      "id",
      "name",
      "totalBytes",
      "usedBytes",
      "freeBytes",
      "utilization",
      "temperatureCelsius",
      "powerWatts",
      "throttleReasons",
    ]),
  ),
  faults: Faults,
  troubles: HealthReply.properties.troubles,
});
export type StatusReply = Static<typeof StatusReply>;

export const HARDWARE_COMPONENTS = { VramReply, HardwareReply, SystemInfoReply, StatusReply };
