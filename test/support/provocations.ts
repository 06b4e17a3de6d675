// How each error of each route is brought about, through the app as a client meets it. What the engine or the router says
// is said by the fake inference; all else is real: bodies, ids, hosts, clocks, and a state that fails.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApiOptions } from "../../src/api/options.ts";
import { AppError, type ErrorCode } from "../../src/protocol/errors.ts";
import type { ErrorRoute } from "./error-routes.ts";
import { makeCard } from "./fake-inference.ts";
import { createTestApp, type Json, settle, type TestApp } from "./http-app.ts";
import { HANDSHAKE } from "./raw-websocket.ts";

export type Provoke = (route: ErrorRoute) => Promise<Response>;

interface Sent {
  path?: string;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** The document's examples name one model, which then has to rank as well. */
function createApp(changes: Partial<ApiOptions> = {}, folder: string | null = null): TestApp {
  const app = createTestApp(changes, folder);
  app.inference.cards = [makeCard({ embeddingPooling: null, conversion: "needed" })];
  return app;
}

/** What a request has to have before anything else can be wrong with it. */
const HEADERS: Readonly<Record<string, Record<string, string>>> = { "GET /api/ws": { ...HANDSHAKE } };

/** The route's own example, with changes. */
function send(
  { app }: TestApp,
  route: ErrorRoute,
  { path, body, headers = HEADERS[route.name], signal }: Sent = {},
): Promise<Response> {
  const sent = body === undefined ? route.example : body;
  const text = typeof sent === "string" || sent instanceof ReadableStream ? sent : JSON.stringify(sent);
  return app.handle(
    new Request(`http://localhost:9000${path ?? route.path}`, {
      method: route.method,
      ...(sent === null ? {} : { body: text }),
      ...(headers === undefined ? {} : { headers }),
      ...(signal === undefined ? {} : { signal }),
    }),
  );
}

/** What the engine or the router says before an answer begins. */
function refuse(code: ErrorCode): Provoke {
  return (route) => {
    const app = createApp();
    const refusal = new AppError({ code, message: "It can't be done" });
    app.inference.refusal = refusal;
    app.hub.refusal = refusal;
    app.conversions.refusal = refusal;
    app.planner.refusal = refusal;
    return send(app, route, asksHub(route) ? { body: { path: "hf:owner/repo" } } : {});
  };
}

function breakOff(route: ErrorRoute, changes: Partial<ApiOptions>, hang: (app: TestApp) => Sent): Promise<Response> {
  const app = createApp(changes);
  const answer = send(app, route, hang(app));
  return settle().then(() => {
    app.clock.advance(3_600_000);
    return answer;
  });
}

const EVENT_ROUTES = ["GET /api/events", "GET /api/ws"];

const overload: Provoke = (route) => {
  if (!EVENT_ROUTES.includes(route.name)) return refuse("overloaded")(route);
  const app = createApp();
  while (app.events.subscribe(["models"]) !== null);
  return send(app, route);
};

/** A client that sends nothing more, or a model that says nothing. */
const runOutOfTime: Provoke = async (route) => {
  const silent = await breakOff(route, {}, () => ({ body: new ReadableStream({ pull: () => new Promise(() => {}) }) }));
  if (!asksModel(route)) return silent;
  if (silent.status !== 504) return silent;
  return breakOff(route, { requestTimeoutMs: 60_000 }, ({ inference }) => {
    const never = () => new Promise<never>(() => {});
    Object.assign(inference, { generate: never, embed: never, tell: never, load: never, unload: never });
    return {};
  });
};

const leave: Provoke = (route) => {
  const client = new AbortController();
  client.abort();
  return send(createApp(), route, { signal: client.signal });
};

/** Everything that a route may ask fails in the same way. */
function failAll(makeError: () => Error): Provoke {
  return (route) => {
    const app = createApp();
    const fail = () => {
      throw makeError();
    };
    const { inference, hub, conversions, planner, events, machine, uploads, state } = app;
    const parts = [
      inference,
      hub,
      conversions,
      planner,
      events,
      machine,
      uploads,
      state.responses,
      state.conversations,
    ];
    for (const part of parts) {
      for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(part))) {
        if (name !== "constructor" && name !== "lastRequest") Object.assign(part, { [name]: fail });
      }
    }
    return send(app, route, continueStored(route));
  };
}

const failStorage: Provoke = (route) =>
  failAll(() => new AppError({ code: "storage_unavailable", message: "The disk is full" }))(route);

/** So that a route that may do without the state needs it. */
function continueStored(route: ErrorRoute): Sent {
  if (!/^POST \/v1\/responses(\/input_tokens|\/compact)?$/.test(route.name)) return {};
  return { body: { ...route.example, previous_response_id: "resp_1" } };
}

const REFERENCE = [{ type: "item_reference", id: "msg_1" }];
const PICTURE = [{ type: "message", role: "user", content: [{ type: "input_image", image_url: "x" }] }];

/** Of what is not there. Ids in paths are examples of the document, and nobody has made those. */
const nameNothing: Provoke = (route) => {
  const conversation = route.name === "POST /v1/conversations";
  if (route.name.startsWith("GET /swagger/assets"))
    return send(createApp(), route, { path: "/swagger/assets/nope.js" });
  return send(createApp(), route, conversation ? { body: { items: REFERENCE } } : continueStored(route));
};

const nameNoModel: Provoke = (route) => {
  const path = route.example === null ? route.path.replace(/[^/]+$/, "nope") : route.path;
  const names = { model: "nope", source: "nope", ...(route.example?.path === undefined ? {} : { path: "nope" }) };
  return send(createApp(), route, { path, body: route.example && { ...route.example, ...names } });
};

const BAD_REQUESTS: Record<string, Sent> = {
  "GET /api/models/recommend": { path: `/api/models/recommend?q=${"x".repeat(201)}` },
  "GET /v1/models": { path: "/v1/models?limit=0", headers: { "anthropic-version": "2023-06-01" } },
  "GET /v1/models/{model}": { path: "/v1/models/%zz" },
  "DELETE /api/models/by-id/{model}": { path: "/api/models/by-id/%zz" },
  "GET /api/models/by-id/{model}": { path: "/api/models/by-id/%zz" },
  "GET /api/hub/search": { path: "/api/hub/search?limit=0" },
  "GET /api/events": { path: "/api/events?topics=weather" },
  "GET /api/ws": { path: "/api/ws?topics=weather" },
};
const BAD_QUERIES: Record<string, string> = {
  "GET /v1/responses/{response_id}": "?stream=perhaps",
  "GET /v1/responses/{response_id}/input_items": "?limit=0",
  "GET /v1/conversations/{conversation_id}/items": "?limit=0",
};

const mistake: Provoke = async (route) => {
  const app = createApp();
  if (route.example !== null) return send(app, route, { body: "{" });
  const query = BAD_QUERIES[route.name];
  if (query !== undefined) return send(app, route, { path: route.path + query });
  if (route.name.startsWith("GET /api/streams/")) {
    const body = { prompt: "x", stream: true };
    const stream = await app.post("/v1/completions", body, { headers: { "X-MLO-Resume": "60" } });
    return app.get(`/api/streams/${stream.headers.get("X-MLO-Stream")}`, { "Last-Event-ID": "x" });
  }
  if (route.name !== "POST /v1/responses/{response_id}/cancel") return send(app, route, BAD_REQUESTS[route.name]);
  const { id } = (await (await app.post("/v1/responses", { input: "x" })).json()) as Json;
  return app.post(`/v1/responses/${id}/cancel`, "");
};

/** The events of a response that another server computes are not here. */
async function followAnothers(): Promise<Response> {
  const folder = mkdtempSync(join(tmpdir(), "mlo-state-"));
  try {
    const other = createApp({}, folder);
    // A process that runs and is not this one.
    const { responses } = other.state;
    const save = responses.save.bind(responses);
    responses.save = (response, items) => save({ ...response, pid: process.ppid }, items);
    other.inference.generate = () => new Promise<never>(() => {});
    const { id } = (await (await other.post("/v1/responses", { input: "x", background: true })).json()) as Json;
    const answer = await createApp({}, folder).get(`/v1/responses/${id}?stream=true`);
    await other.app.handle(new Request(`http://localhost:9000/v1/responses/${id}`, { method: "DELETE" }));
    return answer;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const askTooMuch: Provoke = async (route) => {
  if (asksModel(route) || asksHub(route) || / \/api\/(pull|plan|hub\/search)$/.test(route.name))
    return refuse("not_supported")(route);
  if (route.name === "GET /v1/responses/{response_id}") return followAnothers();
  const app = createApp();
  const { id } = (await (await app.post("/v1/conversations", {})).json()) as Json;
  const path = route.path.replace(/conv_\w+/, id);
  return send(app, route, { path, body: { items: PICTURE } });
};

/** With another body than the one of its example. */
function asksHub(route: ErrorRoute): boolean {
  return route.name === "POST /api/models/inspect";
}

/** Only what asks a model is given up when its client leaves. */
function asksModel(route: ErrorRoute): boolean {
  return route.codes.includes("cancelled");
}

export const PROVOCATIONS: Partial<Record<ErrorCode, Provoke>> = {
  invalid_request: mistake,
  not_supported: askTooMuch,
  not_found: nameNothing,
  model_not_found: nameNoModel,
  payload_too_large: (route) => send(createApp({ bodyBytesMax: 1 }), route),
  forbidden: (route) => send(createApp(), route, { headers: { Host: "evil.example" } }),
  storage_unavailable: failStorage,
  timeout: runOutOfTime,
  cancelled: leave,
  internal: failAll(() => new Error("surprise")),
  context_length_exceeded: refuse("context_length_exceeded"),
  format_unsupported: refuse("format_unsupported"),
  request_crashes_engine: refuse("request_crashes_engine"),
  model_damaged: refuse("model_damaged"),
  model_loading: refuse("model_loading"),
  out_of_memory: refuse("out_of_memory"),
  plan_refused: refuse("plan_refused"),
  engine_crashed: refuse("engine_crashed"),
  overloaded: overload,
  unauthorized: refuse("unauthorized"),
  rate_limited: refuse("rate_limited"),
  conflict: refuse("conflict"),
  download_failed: refuse("download_failed"),
};
