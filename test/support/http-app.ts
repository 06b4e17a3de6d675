// The HTTP app over a FakeInference, and short ways to ask it and to read its streams. Every answer is checked against
// the OpenAPI document.

import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApp, type HttpApp } from "../../src/api/app.ts";
import { buildOpenApi, type DocumentedRoute } from "../../src/api/openapi.ts";
import { type ApiOptions, DEFAULT_API_OPTIONS } from "../../src/api/options.ts";
import { EventBus } from "../../src/lib/event-bus.ts";
import { silentLogger } from "../../src/lib/log.ts";
import { Uploads } from "../../src/models/upload/uploads.ts";
import type { EventTopic } from "../../src/protocol/events.ts";
import { State } from "../../src/state/state.ts";
import { DocumentJudge } from "./document-judge.ts";
import { FakeClock } from "./fake-clock.ts";
import { FakeConversions } from "./fake-conversions.ts";
import { FakeHub } from "./fake-hub.ts";
import { FakeInference } from "./fake-inference.ts";
import { FakePlanner } from "./fake-planner.ts";
import { type FakeAdaptation, type FakeBackendDevices, type FakeMachine, fakeHardware } from "./machines.ts";

export interface TestApp {
  app: HttpApp;
  inference: FakeInference;
  hub: FakeHub;
  conversions: FakeConversions;
  planner: FakePlanner;
  events: EventBus<EventTopic>;
  machine: FakeMachine;
  adaptation: FakeAdaptation;
  backendDevices: FakeBackendDevices;
  state: State;
  uploads: Uploads;
  /** Where uploads land; it is there once something has. */
  folder: string;
  clock: FakeClock;
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
}

/** `stateFolder` null: in memory. */
export function createTestApp(changes: Partial<ApiOptions> = {}, stateFolder: string | null = null): TestApp {
  const inference = new FakeInference();
  const hub = new FakeHub();
  const conversions = new FakeConversions();
  const clock = new FakeClock();
  const events = new EventBus<EventTopic>(() => clock.wallMs());
  const options = { ...DEFAULT_API_OPTIONS, ...changes };
  const state = new State({ folder: stateFolder, log: silentLogger, clock });
  const folder = newFolder();
  const uploads = fakeUploads(folder, clock);
  const planner = new FakePlanner();
  const { machine, adaptation, backendDevices } = fakeHardware();
  const parts = { inference, hub, conversions, planner, events, machine, adaptation, backendDevices, uploads, state };
  const app = judgeAnswers(createApp({ ...parts, options, log: silentLogger, clock }));
  return {
    app,
    inference,
    hub,
    conversions,
    planner,
    events,
    machine,
    adaptation,
    backendDevices,
    state,
    uploads,
    folder,
    clock,
    get: (path, headers = {}) => app.handle(new Request(`http://localhost:9000${path}`, { headers })),
    post(path, body, init = {}) {
      const text = typeof body === "string" ? body : JSON.stringify(body);
      return app.handle(new Request(`http://localhost:9000${path}`, { method: "POST", body: text, ...init }));
    },
  };
}

/** Made when something is written there; gone with the process. */
const ROOT = join(tmpdir(), `mlo-http-${crypto.randomUUID()}`);
process.on("exit", () => rmSync(ROOT, { recursive: true, force: true }));

function newFolder(): string {
  return join(ROOT, crypto.randomUUID());
}

export function fakeUploads(folder = newFolder(), clock = new FakeClock()): Uploads {
  const folders = { models: join(folder, "models"), modelFiles: join(folder, "model-files") };
  return new Uploads({ folders, env: {}, clock, onPlaced: () => {} });
}

// All apps have the same routes. Made before any test: whoever asks must not wait for it.
const judge = new DocumentJudge(await buildOpenApi(listRoutes()));

function listRoutes(): DocumentedRoute[] {
  const state = new State({ folder: null, log: silentLogger, clock: new FakeClock() });
  const inference = new FakeInference();
  const events = new EventBus<EventTopic>(() => 0);
  const fakes = { hub: new FakeHub(), conversions: new FakeConversions(), planner: new FakePlanner() };
  const parts = { ...fakes, ...fakeHardware(), events, uploads: fakeUploads() };
  return createApp({ inference, ...parts, state, options: DEFAULT_API_OPTIONS, log: silentLogger }).routes();
}

/** The app, whose answers throw where the document does not allow them. */
export function judgeAnswers(app: HttpApp): HttpApp {
  return {
    ...app,
    async handle(request) {
      // The app reads the request's body: what is looked at here is the rest.
      return await judge.check(request, await app.handle(request));
    },
  };
}

/** Tests look into JSON whose shape is what they check: as free as `JSON.parse` leaves it. */
export type Json = ReturnType<typeof JSON.parse>;

export async function readJson(response: Response): Promise<Json> {
  return response.json();
}

/** The `data:` lines of a whole stream: JSON, or the bare text of `[DONE]`. */
export async function readFrames(response: Response): Promise<Json[]> {
  return parseFrames(await response.text());
}

export function parseFrames(text: string): Json[] {
  const frames = text.split("\n\n").filter((frame) => frame.startsWith("data: "));
  return frames.map((frame) => (frame === "data: [DONE]" ? "[DONE]" : JSON.parse(frame.slice(6))));
}

/** Status and code of an error, with the envelope's shape checked. */
export async function readError(response: Response): Promise<{ status: number; code: string; param: string | null }> {
  const { error } = await readJson(response);
  for (const field of ["message", "type", "code", "hint"]) {
    if (typeof error[field] !== "string") throw new Error(`the envelope has no ${field}: ${JSON.stringify(error)}`);
  }
  return { status: response.status, code: error.code, param: error.param };
}

/** Lets every promise that can settle now settle. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}
