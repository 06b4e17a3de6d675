// Builds the HTTP app: routes, and around them what holds for every request (request id, Host and Origin
// checks, CORS, error envelope, one log line). It does not listen; `listen.ts` does.

import { Elysia } from "elysia";
import { systemClock } from "../lib/clock.ts";
import { AppError, toAppError } from "../protocol/errors.ts";
import { addCountTokensRoute } from "./anthropic/count-tokens.ts";
import { ANTHROPIC_REQUEST_ID_HEADER, speaksAnthropic } from "./anthropic/errors.ts";
import { addMessageRoute } from "./anthropic/messages.ts";
import { addConversationRoutes } from "./conversations/routes.ts";
import { answerPreflight, buildCorsHeaders, isOriginAllowed, isPreflight } from "./cors.ts";
import { addDocsRoutes } from "./docs.ts";
import { answerError } from "./error-dialects.ts";
import { addEventRoutes } from "./events/routes.ts";
import { isStream } from "./frame-stream.ts";
import { isHostAllowed } from "./host-check.ts";
import { addHubSearchRoute } from "./hub/search.ts";
import { addTemplateRoute } from "./llama/apply-template.ts";
import { addInfillRoute } from "./llama/infill.ts";
import { addRerankRoutes } from "./llama/rerank.ts";
import { addTokenRoutes } from "./llama/tokenize.ts";
import { addConvertRoutes } from "./manage/convert.ts";
import { addInspectRoutes } from "./manage/inspect.ts";
import { addLibraryRoutes } from "./manage/library.ts";
import { addLoadingRoutes } from "./manage/loading.ts";
import { addPlanRoutes } from "./manage/plan.ts";
import { addUploadRoutes } from "./manage/upload.ts";
import { explainUnavailable } from "./ollama/errors.ts";
import { addOllamaRoutes } from "./ollama/routes.ts";
import { addChatRoute } from "./openai/chat.ts";
import { addCompletionRoute } from "./openai/completions.ts";
import { addEmbeddingRoute } from "./openai/embeddings.ts";
import { addModelRoutes } from "./openai/models.ts";
import type { DocumentedRoute } from "./openapi.ts";
import type { ApiContext, ApiDependencies } from "./options.ts";
import { chooseRequestId, REQUEST_ID_HEADER, rememberRequestId, requestIdOf } from "./request-id.ts";
import { addResponseRoutes } from "./responses/routes.ts";
import { sessionOf } from "./socket-upgrade.ts";
import { KeptStreams } from "./streams/kept-streams.ts";
import { addStreamRoutes } from "./streams/routes.ts";
import { addBackendRoute } from "./system/backend.ts";
import { addCacheRoute } from "./system/cache.ts";
import { addHardwareRoutes } from "./system/hardware.ts";
import { addHealthRoutes } from "./system/health.ts";
import { addLoraRoutes } from "./system/lora.ts";
import { addRootRoute } from "./system/root.ts";
import { addStatusRoutes } from "./system/status.ts";

export interface HttpApp {
  /** Answers one request; never throws. */
  handle(request: Request): Promise<Response>;
  routes(): DocumentedRoute[];
}

export function createApp(dependencies: ApiDependencies): HttpApp {
  const clock = dependencies.clock ?? systemClock;
  const api: ApiContext = { ...dependencies, clock, streams: new KeptStreams(clock) };
  const elysia = new Elysia();
  const routes = () =>
    elysia.routes.map(({ method, path, hooks }): DocumentedRoute => ({ method, path, detail: hooks?.detail }));
  elysia.onError(({ code, error, request }) => {
    const failure = code === "NOT_FOUND" ? explainNoRoute(request, routes()) : toAppError(error);
    logFailure(api, request, failure);
    return answerError(request, failure, describeAllowed(request, failure, routes()));
  });
  elysia.onTransform(({ params }) => refuseUndecodable(params));
  addRootRoute(elysia);
  addHealthRoutes(elysia, api);
  addBackendRoute(elysia, api);
  addCacheRoute(elysia, api);
  addHardwareRoutes(elysia, api);
  addStatusRoutes(elysia, api);
  addLoraRoutes(elysia, api);
  addInspectRoutes(elysia, api);
  addConvertRoutes(elysia, api);
  addPlanRoutes(elysia, api);
  addEventRoutes(elysia, api);
  addLibraryRoutes(elysia, api);
  addLoadingRoutes(elysia, api);
  addUploadRoutes(elysia, api);
  addStreamRoutes(elysia, api);
  addModelRoutes(elysia, api);
  addChatRoute(elysia, api);
  addMessageRoute(elysia, api);
  addCountTokensRoute(elysia, api);
  addCompletionRoute(elysia, api);
  addResponseRoutes(elysia, api);
  addConversationRoutes(elysia, api);
  addEmbeddingRoute(elysia, api);
  addInfillRoute(elysia, api);
  addRerankRoutes(elysia, api);
  addOllamaRoutes(elysia, api);
  addHubSearchRoute(elysia, api);
  addTokenRoutes(elysia, api);
  addTemplateRoute(elysia, api);
  addDocsRoutes(elysia, routes);
  return { handle: (request) => handleAtEdge(api, request, (inner) => elysia.handle(inner)), routes };
}

/** Stands in for a Host header that is absent, as HTTP/1.0 allows, or is no host: Bun then gives the path alone. */
const STAND_IN_ORIGIN = "http://localhost";

/** The checks before a route and the headers after it, in one place for every path and every error. */
async function handleAtEdge(
  api: ApiContext,
  incoming: Request,
  route: (request: Request) => Response | Promise<Response>,
): Promise<Response> {
  const startedMs = api.clock.monotonicMs();
  const requestId = chooseRequestId(incoming.headers.get(REQUEST_ID_HEADER));
  const isAbsolute = URL.canParse(incoming.url);
  const url = URL.parse(isAbsolute ? incoming.url : STAND_IN_ORIGIN + incoming.url) ?? new URL(STAND_IN_ORIGIN);
  const request = isAbsolute ? incoming : new Request(url, incoming);
  rememberRequestId(request, requestId);
  const host = request.headers.get("Host") ?? url.host;
  const origin = request.headers.get("Origin");
  const response = await answerWithinRules(api, request, host, origin, route);
  response.headers.set(REQUEST_ID_HEADER, requestId);
  if (speaksAnthropic(request)) response.headers.set(ANTHROPIC_REQUEST_ID_HEADER, requestId);
  if (origin !== null && isOriginAllowed(origin, api.options.corsOrigins, host)) {
    for (const [name, value] of Object.entries(buildCorsHeaders(origin, api.options.corsOrigins))) {
      response.headers.set(name, value);
    }
  }
  api.log.debug("request", {
    requestId,
    method: request.method,
    path: url.pathname,
    status: response.status,
    ms: Math.round(api.clock.monotonicMs() - startedMs),
  });
  return response;
}

async function answerWithinRules(
  api: ApiContext,
  request: Request,
  host: string,
  origin: string | null,
  route: (request: Request) => Response | Promise<Response>,
): Promise<Response> {
  if (!isHostAllowed(host, api.options)) {
    const message = `the Host header ${JSON.stringify(host)} is not a name of this server`;
    const hint = "Add the name with --allowed-host.";
    return answerError(request, new AppError({ code: "forbidden", message, hint }));
  }
  if (origin !== null && !isOriginAllowed(origin, api.options.corsOrigins, host)) {
    const message = `web pages of ${JSON.stringify(origin)} may not use this server`;
    const hint = "Add the origin with --cors-origin.";
    return answerError(request, new AppError({ code: "forbidden", message, hint }));
  }
  if (isPreflight(request)) return answerPreflight(request);
  try {
    return request.method === "HEAD" ? await answerHead(request, route) : await route(request);
  } catch (thrown) {
    const failure = toAppError(thrown);
    logFailure(api, request, failure);
    return answerError(request, failure);
  }
}

/** As GET, without the body. Elysia would read a stream to its end to say how long it is. */
async function answerHead(
  request: Request,
  route: (request: Request) => Response | Promise<Response>,
): Promise<Response> {
  const asked = new Request(request, { method: "GET" });
  rememberRequestId(asked, requestIdOf(request));
  const response = await route(asked);
  if (sessionOf(response) !== null) {
    throw new AppError({ code: "invalid_request", message: "HEAD opens no WebSocket", hint: "Use GET." });
  }
  const headers = new Headers(response.headers);
  if (isStream(response)) await response.body?.cancel();
  else headers.set("Content-Length", String((await response.arrayBuffer()).byteLength));
  return new Response(null, { status: response.status, headers });
}

/** Elysia gives null for a part of the path whose percent-encoding it can't read. */
function refuseUndecodable(params: Record<string, unknown> | undefined): void {
  for (const [param, value] of Object.entries(params ?? {})) {
    if (value !== null) continue;
    const message = `the path's \`${param}\` is not valid percent-encoding`;
    throw new AppError({ code: "invalid_request", message, param });
  }
}

function explainNoRoute(request: Request, routes: DocumentedRoute[]): AppError {
  const { pathname } = new URL(request.url);
  const unavailable = explainUnavailable(pathname);
  if (unavailable !== null) return new AppError(unavailable);
  if (listMethods(pathname, routes).length === 0) {
    return new AppError({ code: "not_found", message: `there is no route ${request.method} ${pathname}` });
  }
  return new AppError({ code: "method_not_allowed", message: `${pathname} does not take ${request.method}` });
}

function describeAllowed(request: Request, failure: AppError, routes: DocumentedRoute[]): Record<string, string> {
  if (failure.code !== "method_not_allowed") return {};
  return { Allow: listMethods(new URL(request.url).pathname, routes).join(", ") };
}

function listMethods(pathname: string, routes: DocumentedRoute[]): string[] {
  const exact = pathname.replace(/(?<=.)\/$/, "");
  const named = routes.filter(({ path }) => path === exact);
  // A path of its own is no value of another's parameter.
  const taken = named.length > 0 ? named : routes.filter(({ path }) => matchesPath(path, pathname));
  return [...new Set(taken.map(({ method }) => method))];
}

/** `*` at the end is anything; `:name` is one part of the path. */
function matchesPath(pattern: string, pathname: string): boolean {
  if (pattern.endsWith("*")) return pathname.startsWith(pattern.slice(0, -1));
  const wanted = pattern.split("/");
  const parts = pathname.replace(/(?<=.)\/$/, "").split("/");
  return (
    parts.length === wanted.length &&
    wanted.every((name, at) => name === parts[at] || (name.startsWith(":") && parts[at] !== ""))
  );
}

/** Our own faults are errors in the log; a client's mistake or departure is not. */
function logFailure(api: ApiContext, request: Request, failure: AppError): void {
  const fields = { code: failure.code, method: request.method, path: new URL(request.url).pathname };
  if (failure.status < 500 || request.signal.aborted) {
    api.log.debug(failure.message, fields);
    return;
  }
  const cause = failure.cause instanceof Error ? failure.cause.stack : undefined;
  api.log.error(failure.message, cause === undefined ? fields : { ...fields, stack: cause });
}
