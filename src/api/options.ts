// What the HTTP edge can be told, its defaults, and the context that every route gets.
// Owns no behaviour; flags and environment are read elsewhere and arrive here already checked.

import type { ModelSource } from "../hub/hub.ts";
import type { Clock } from "../lib/clock.ts";
import type { EventBus } from "../lib/event-bus.ts";
import type { Logger } from "../lib/log.ts";
import type { Uploads } from "../models/upload/uploads.ts";
import type { EventTopic } from "../protocol/events.ts";
import type { MachineSource } from "../protocol/machine.ts";
import type { AdaptationSource } from "../router/adaptation/adaptation-watch.ts";
import type { BackendDeviceSource } from "../router/backends/backend-devices.ts";
import type { ConversionService } from "../router/conversions/conversions.ts";
import type { Inference } from "../router/inference.ts";
import type { PlanningService } from "../router/placement/planning.ts";
import type { State } from "../state/state.ts";
import type { FrameStreamOptions } from "./frame-stream.ts";
import type { KeptStreams } from "./streams/kept-streams.ts";

export interface ApiOptions {
  /** The address that the server binds: a `Host` header may name it. */
  host: string;
  port: number;
  /** Origins of web pages that may call us; `*` inside one is a wildcard, and `*` alone is everybody. */
  corsOrigins: readonly string[];
  /** Further names for the Host check; `*` switches it off. */
  allowedHosts: readonly string[];
  bodyBytesMax: number;
  /** Longest a request may take, in milliseconds; 0 = no limit. */
  requestTimeoutMs: number;
  /** Longest a streaming client may leave its socket full, in milliseconds; 0 = no limit. */
  streamStallMs: number;
  /** Silence on a stream after which a comment is sent, in milliseconds. */
  keepAliveMs: number;
}

/** Pages on this machine and VS Code's web views; a page from elsewhere has to be let in by name. */
export const DEFAULT_CORS_ORIGINS: readonly string[] = [
  "http://localhost:*",
  "https://localhost:*",
  "http://127.0.0.1:*",
  "https://127.0.0.1:*",
  "http://[::1]:*",
  "https://[::1]:*",
  "vscode-webview://*",
];

export const DEFAULT_API_OPTIONS: ApiOptions = {
  host: "127.0.0.1",
  port: 9000,
  corsOrigins: DEFAULT_CORS_ORIGINS,
  allowedHosts: [],
  // A context of a million tokens as text is about 4 MiB, as a JSON array of ids about 8 MiB.
  bodyBytesMax: 32 * 1024 * 1024,
  requestTimeoutMs: 0,
  // A paused terminal or a debugger may stop reading for minutes; a forgotten one must not hold a sequence for ever.
  streamStallMs: 300_000,
  // Proxies commonly cut a connection that is silent for 30 or 60 seconds.
  keepAliveMs: 15_000,
};

/** What `createApp` gets. */
export interface ApiDependencies {
  inference: Inference;
  /** Where models are downloaded from. */
  hub: ModelSource;
  conversions: ConversionService;
  /** What models would take here. */
  planner: PlanningService;
  /** What happens on the server, for whoever listens. */
  events: EventBus<EventTopic>;
  /** What the machine has. */
  machine: MachineSource;
  /** What is lowered for its sake. */
  adaptation: AdaptationSource;
  /** What llama.cpp finds of it. */
  backendDevices: BackendDeviceSource;
  /** Models and model files that clients send. */
  uploads: Uploads;
  /** Responses and conversations. */
  state: State;
  options: ApiOptions;
  log: Logger;
  clock?: Clock;
}

/** What each route gets. */
export interface ApiContext extends ApiDependencies {
  clock: Clock;
  /** Those that clients may come back to. */
  streams: KeptStreams;
}

export function streamOptions({ options, clock }: ApiContext): FrameStreamOptions {
  return { keepAliveMs: options.keepAliveMs, stallMs: options.streamStallMs, clock };
}
