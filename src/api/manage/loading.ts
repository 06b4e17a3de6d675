// POST /api/models/load, switch and unload, GET /api/models/status: which models are in memory, and how they are. Who has to
// make room is decided in router/.

import type { Elysia } from "elysia";
import { AppError, type ErrorCode, toAppError } from "../../protocol/errors.ts";
import type { EngineChanges } from "../../protocol/model-settings.ts";
import type { ModelCard } from "../../router/inference.ts";
import type {
  LoadOptions,
  MemoryOverview,
  ResidentModel,
  Unloaded,
  Unloading,
} from "../../router/residency/loading.ts";
import { BodyReader } from "../body.ts";
import { startWithin } from "../generate.ts";
import { readKeepAlive } from "../ollama/keep-alive.ts";
import type { ApiContext } from "../options.ts";
import { RequestScope } from "../request-scope.ts";
import { describeRoute, INFERENCE_ERRORS } from "../route-docs.ts";
import { encodeLearned } from "./encode-plan.ts";
import {
  type ModelLoadReply,
  ModelLoadRequest,
  type ModelStatusReply,
  type ModelUnloadReply,
  ModelUnloadRequest,
} from "./loading-schema.ts";

const loadBodies = new BodyReader(ModelLoadRequest);
const unloadBodies = new BodyReader(ModelUnloadRequest);

export function addLoadingRoutes(app: Elysia, api: ApiContext): void {
  const { inference } = api;
  for (const [path, becomesDefault, detail] of [
    ["/api/models/load", false, LOAD_DOCS],
    ["/api/models/switch", true, SWITCH_DOCS],
  ] as const) {
    app.post(
      path,
      async ({ request }) => {
        const body = await loadBodies.read(request, api.options.bodyBytesMax, api.clock);
        return await load(api, request, body, { ...readOptions(body), becomesDefault });
      },
      { detail },
    );
  }
  app.post(
    "/api/models/unload",
    async ({ request }) => {
      const { model, wait } = await unloadBodies.read(request, api.options.bodyBytesMax, api.clock);
      const { id } = inference.resolveModel(model);
      const unloading = inference.unload(id);
      if (wait === false) {
        unloading.ended.catch((thrown: unknown) => logFailure(api, "unload", id, thrown));
        const now = { model: inference.resolveModel(id), freed: null };
        return Response.json(encodeUnloaded(unloading, now), { status: 202 });
      }
      const scope = new RequestScope(request.signal, api.options.requestTimeoutMs, api.clock);
      // Who leaves does not keep the engine.
      const unloaded = await startWithin(scope, () => unloading.ended);
      scope.close();
      return Response.json(encodeUnloaded(unloading, unloaded));
    },
    { detail: UNLOAD_DOCS },
  );
  app.get("/api/models/status", async () => Response.json(encodeStatus(await inference.status())), {
    detail: STATUS_DOCS,
  });
}

async function load(
  api: ApiContext,
  request: Request,
  { model, wait }: ModelLoadRequest,
  options: LoadOptions,
): Promise<Response> {
  const { inference } = api;
  // Throws what needs no engine to be known.
  const { id } = inference.resolveModel(model);
  if (wait === false) {
    const loading = inference.load(id, new AbortController().signal, options);
    loading.catch((thrown: unknown) => logFailure(api, "load", id, thrown));
    const card = inference.resolveModel(id);
    return Response.json(encodeLoaded(card), { status: card.state === "loaded" ? 200 : 202 });
  }
  const scope = new RequestScope(request.signal, api.options.requestTimeoutMs, api.clock);
  const card = await startWithin(scope, () => inference.load(id, scope.signal, options));
  scope.close();
  return Response.json(encodeLoaded(card));
}

function logFailure({ log }: ApiContext, what: string, model: string, thrown: unknown): void {
  log.warn(`a ${what} that nobody waited for failed`, { model, error: toAppError(thrown).message });
}

function readOptions(body: ModelLoadRequest): LoadOptions {
  const { keepAlive, backend } = body;
  // By name: what the schema does not know is a client's own affair, and engines have settings that name files.
  const settings = pickSettings(body);
  const { parallel = 0, retained = 0, batchSize, ubatchSize } = settings;
  if (parallel + retained > SEQUENCES_MAX) {
    throw invalid("retained", `and \`parallel\` must not be over ${SEQUENCES_MAX} together`);
  }
  if (batchSize !== undefined && ubatchSize !== undefined && ubatchSize > batchSize) {
    throw invalid("ubatchSize", "must not be over `batchSize`");
  }
  const changes: EngineChanges = { ...settings, ...(backend === undefined ? {} : { backend: [backend].flat() }) };
  const keepMs = readKeepAlive(keepAlive, "keepAlive");
  return {
    ...(Object.keys(changes).length === 0 ? {} : { changes }),
    ...(keepMs === undefined ? {} : { keepMs }),
  };
}

const SETTINGS = ["ctx", "parallel", "retained", "threads", "gpuLayers", "batchSize", "ubatchSize"] as const;

function pickSettings(
  body: Pick<EngineChanges, (typeof SETTINGS)[number]>,
): Pick<EngineChanges, (typeof SETTINGS)[number]> {
  return Object.fromEntries(SETTINGS.flatMap((name) => (body[name] === undefined ? [] : [[name, body[name]]])));
}

/** llama.cpp's sequences but for the engine's own. */
const SEQUENCES_MAX = 255;

function invalid(param: string, what: string): AppError {
  return new AppError({ code: "invalid_request", message: `\`${param}\` ${what}`, param });
}

function encodeLoaded(card: ModelCard): ModelLoadReply {
  const { id, state, isDefault, backend, contextLength, info, sleepsInMs } = card;
  return {
    id,
    state,
    default: isDefault,
    backend: encodeBackend(backend),
    devices: info?.devices ?? [],
    contextLength,
    loadMs: info?.loadMs ?? null,
    sleepsInMs,
  };
}

function encodeUnloaded({ loadsGivenUp, requestsAhead }: Unloading, { model, freed }: Unloaded): ModelUnloadReply {
  return { id: model.id, state: model.state, loadsGivenUp, requestsAhead, freed };
}

function encodeBackend(backend: ModelCard["backend"]): ModelLoadReply["backend"] {
  if (backend === null) return null;
  const { wanted, used, fallback, skipped } = backend;
  return { wanted: [...wanted], used: [...used], fallback, skipped: skipped.map((plugin) => ({ ...plugin })) };
}

function encodeStatus({ models, pools, swaps }: MemoryOverview): ModelStatusReply {
  return { pools, swaps, models: models.map(encodeResident) };
}

function encodeResident(model: ResidentModel): ModelStatusReply["models"][number] {
  const { isDefault, settings, backend, plannedBytes, measuredBytes, learned, ...rest } = model;
  const wanted = settings.backend === undefined ? {} : { backend: [...settings.backend] };
  return {
    ...rest,
    settings: { ...pickSettings(settings), ...wanted },
    plannedBytes: plannedBytes?.map(Math.ceil) ?? null,
    measuredBytes: measuredBytes?.map(Math.ceil) ?? null,
    learned: encodeLearned(learned),
    default: isDefault,
    backend: encodeBackend(backend),
  };
}

/** Of what starts an engine. */
export const LOAD_ERRORS: ErrorCode[] = [
  ...INFERENCE_ERRORS.filter(
    (code) => code !== "context_length_exceeded" && code !== "request_crashes_engine" && code !== "not_supported",
  ),
  "conflict",
];

const LOAD_DOCS = describeRoute({
  operationId: "loadModel",
  tag: "System",
  summary: "Load a model",
  description:
    "Starts its engine if it has none, as its first request would. Models that nobody pinned make room for it when their running " +
    "requests have ended; `plan_refused` where there can be no room. Settings that differ from those that it runs with cost its " +
    "engine its place. One that is unloaded before its load is done is told `conflict`.",
  body: {
    schema: "ModelLoadRequest",
    examples: {
      load: { model: "demo" },
      settings: { model: "demo", ctx: 4096, backend: ["cuda", "cpu"] },
    },
  },
  reply: {
    schema: "ModelLoadReply",
    description: "It can answer.",
    alsoStatus: { status: 202, description: "It is being loaded: `wait` is false." },
  },
  errors: LOAD_ERRORS,
});

const SWITCH_DOCS = describeRoute({
  operationId: "switchModel",
  tag: "System",
  summary: "Load a model and make it the default",
  description:
    "Once it is loaded, requests that name no model are for it, until the server ends. Others stay for as long as there is room. " +
    "When the load fails the model before is the default still: if it had to make room it is loaded again, and the error's message " +
    "says so.",
  body: { schema: "ModelLoadRequest", examples: { switch: { model: "demo" } } },
  reply: {
    schema: "ModelLoadReply",
    description: "It can answer, and is the default.",
    alsoStatus: { status: 202, description: "It is being loaded: `wait` is false." },
  },
  errors: LOAD_ERRORS,
});

const UNLOAD_DOCS = describeRoute({
  operationId: "unloadModel",
  tag: "System",
  summary: "Unload a model",
  description:
    "Its engines end, those with older settings too, also a pinned one's. Loads that came before are given up (`conflict`); requests " +
    "that came before are answered first, also those that wait for an engine, and the answer says how many. What it keeps of prompts " +
    "is written to disk. Who asks for it later gets the next engine.",
  body: { schema: "ModelUnloadRequest", examples: { unload: { model: "demo" } } },
  reply: {
    schema: "ModelUnloadReply",
    description: "Its process is gone.",
    alsoStatus: { status: 202, description: "It ends: `wait` is false." },
  },
  errors: ["invalid_request", "model_not_found", "model_loading", "payload_too_large", "timeout", "cancelled"],
});

const STATUS_DOCS = describeRoute({
  operationId: "modelStatus",
  tag: "System",
  summary: "Models in memory, with live figures",
  reply: {
    schema: "ModelStatusReply",
    description:
      "The budget, and every model that was ever asked for; an engine with older settings has a row of its own until it is gone.",
  },
  errors: [],
});
