// GET /status: one page for tools that people look at. All of it is told elsewhere in more detail.

import type { Elysia } from "elysia";
import type { EngineReport, ModelCard } from "../../router/inference.ts";
import { isLocalAddress } from "../host-check.ts";
import type { ApiContext } from "../options.ts";
import { describeRoute } from "../route-docs.ts";
import { PROJECT_VERSION } from "../version.ts";
import { encodeMachine } from "./encode-hardware.ts";
import { MACHINE_AGE_MS_MAX } from "./hardware.ts";
import type { StatusReply } from "./hardware-schema.ts";

export function addStatusRoutes(app: Elysia, api: ApiContext): void {
  app.get("/status", async () => Response.json(await describeStatus(api)), { detail: DOCS });
}

async function describeStatus(api: ApiContext): Promise<StatusReply> {
  const [snapshot, { engines }] = await Promise.all([
    api.machine.read(MACHINE_AGE_MS_MAX),
    api.inference.backendInfo(),
  ]);
  const { status, troubles, backends } = api.inference.health();
  const { memory, devices, faults } = encodeMachine(snapshot, isLocalAddress(api.options.host));
  return {
    status,
    ready: backends.llamacpp.ready,
    details: backends.llamacpp.details,
    version: PROJECT_VERSION,
    uptimeSeconds: Math.round(process.uptime()),
    models: api.inference.listModels().map((card) => encodeModel(card, engines)),
    requests: addUp(engines),
    memory,
    devices: devices.map((device) => {
      const { id, name, totalBytes, usedBytes, freeBytes } = device;
      const { utilization, temperatureCelsius, powerWatts, throttleReasons } = device;
      return {
        id,
        name,
        totalBytes,
        usedBytes,
        freeBytes,
        utilization,
        temperatureCelsius,
        powerWatts,
        throttleReasons,
      };
    }),
    faults,
    troubles,
  };
}

function encodeModel(card: ModelCard, engines: readonly EngineReport[]): StatusReply["models"][number] {
  // One engine may serve several names of one file: the router calls it after the first.
  const engine = engines.find(({ model }) => model === card.id || card.aliases.includes(model));
  const stats = engine?.stats ?? null;
  return {
    id: card.id,
    state: card.state,
    default: card.isDefault,
    sizeBytes: card.sizeBytes,
    pid: engine?.pid ?? null,
    requests: stats && { running: stats.running, waiting: stats.waiting, paused: stats.paused },
  };
}

function addUp(engines: readonly EngineReport[]): StatusReply["requests"] {
  const sums = { running: 0, waiting: 0, paused: 0, silentEngines: 0 };
  for (const { stats } of engines) {
    if (stats === null) {
      sums.silentEngines += 1;
      continue;
    }
    sums.running += stats.running;
    sums.waiting += stats.waiting;
    sums.paused += stats.paused;
  }
  return sums;
}

const DOCS = describeRoute({
  operationId: "getStatus",
  tag: "System",
  summary: "How the server is",
  description: "Health, models, requests, memory and devices on one page, for tools that show them to people.",
  reply: { schema: "StatusReply", description: "As it is now." },
  errors: [],
});
