// GET /vram, GET /api/hardware and GET /api/system/info: what the machine has and how much of it is in use.

import type { Elysia } from "elysia";
import { isLocalAddress } from "../host-check.ts";
import type { ApiContext } from "../options.ts";
import { describeRoute } from "../route-docs.ts";
import { PROJECT_NAME, PROJECT_VERSION } from "../version.ts";
import { encodeMachine, encodeVram } from "./encode-hardware.ts";
import type { HardwareReply, SystemInfoReply } from "./hardware-schema.ts";

/** Many clients that ask at once cost one look at the machine. */
export const MACHINE_AGE_MS_MAX = 1_000;

export function addHardwareRoutes(app: Elysia, api: ApiContext): void {
  const isLocal = isLocalAddress(api.options.host);
  app.get("/vram", async () => Response.json(encodeVram(await api.machine.read(MACHINE_AGE_MS_MAX))), {
    detail: VRAM_DOCS,
  });
  app.get(
    "/api/hardware",
    async () => {
      const [snapshot, backend] = await Promise.all([api.machine.read(MACHINE_AGE_MS_MAX), api.backendDevices.list()]);
      const reply: HardwareReply = { ...encodeMachine(snapshot, isLocal), backend };
      return Response.json(reply);
    },
    { detail: HARDWARE_DOCS },
  );
  app.get("/api/system/info", async () => Response.json(await describeSystem(api, isLocal)), { detail: SYSTEM_DOCS });
}

async function describeSystem(api: ApiContext, isLocal: boolean): Promise<SystemInfoReply> {
  const [snapshot, { llamaCpp, plugins }] = await Promise.all([
    api.machine.read(MACHINE_AGE_MS_MAX),
    api.inference.backendInfo(),
  ]);
  const { platform, arch, cpu, memory, disk, power, driver, devices, unknown } = encodeMachine(snapshot, isLocal);
  return {
    name: PROJECT_NAME,
    version: PROJECT_VERSION,
    llamaCpp,
    plugins,
    runtime: `Bun ${Bun.version}`,
    platform,
    arch,
    pid: process.pid,
    uptimeSeconds: Math.round(process.uptime()),
    residentBytes: process.memoryUsage.rss(),
    cpu,
    memory,
    disk,
    power,
    driver,
    devices: devices.map(({ id, kind, name, totalBytes }) => ({ id, kind, name, totalBytes })),
    unknown,
  };
}

const VRAM_DOCS = describeRoute({
  operationId: "getVram",
  tag: "System",
  summary: "Memory of the GPUs",
  description:
    "As the driver tells it: `used_gb` counts all programs of the machine. Without a GPU, and where a driver does not tell, the " +
    "sums are null and `reason` says why. A GPU that is cut into slices (MIG) is told by slices.",
  reply: { schema: "VramReply", description: "By device, and their sums." },
  errors: [],
});

const HARDWARE_DOCS = describeRoute({
  operationId: "getHardware",
  tag: "System",
  summary: "All that is known of the machine",
  description:
    "At most a second old. What can't be read is null, and `unknown` says why; `faults` tells of devices that are here and can't " +
    "be used, and what to do about it. The topic `hardware` of `/api/events` has the same every two seconds, without `backend`.",
  reply: { schema: "HardwareReply", description: "A snapshot, and the devices that llama.cpp finds." },
  errors: [],
});

const SYSTEM_DOCS = describeRoute({
  operationId: "getSystemInfo",
  tag: "System",
  summary: "The server and its machine",
  reply: { schema: "SystemInfoReply", description: "Versions, the server's process, and what the machine has." },
  errors: [],
});
