// The shapes of the routes by which models come into memory and leave it: the only source of their types and documentation.

import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { BACKENDS } from "../../protocol/backends.ts";
import { KeepAlive } from "../ollama/keep-alive.ts";
import { PlanReply } from "./plan-schema.ts";

const orNull = <S extends TSchema>(schema: S, description = "") =>
  Type.Union([schema, Type.Null()], description === "" ? {} : { description });
const setting = (minimum: number, maximum: number, description: string) =>
  Type.Optional(Type.Integer({ minimum, maximum, description }));
const INT32_MAX = 2 ** 31 - 1;
const Backend = Type.Union(BACKENDS.map((name) => Type.Literal(name)));

const MODEL = Type.String({ minLength: 1, maxLength: 1024, description: "A model's id or another name of it." });
const WAIT = Type.Optional(
  Type.Boolean({ description: "False: answer 202 at once, and go on. Absent: answer when it is done." }),
);

export const ModelLoadRequest = Type.Object({
  model: MODEL,
  wait: WAIT,
  keepAlive: KeepAlive,
  backend: Type.Optional(
    Type.Union([Backend, Type.Array(Backend, { minItems: 1, maxItems: 16 })], {
      description: "Back ends in order: the first that works is used, and the answer says which.",
    }),
  ),
  ctx: setting(0, INT32_MAX, "As `--ctx`. A setting holds until the model is unloaded, or loaded with other settings."),
  parallel: setting(0, 255, "As `--parallel`."),
  retained: setting(0, 250, "As `--retained`."),
  threads: setting(0, 512, "As `--threads`."),
  gpuLayers: setting(-1, INT32_MAX, "As `--gpu-layers`."),
  batchSize: setting(1, 65_536, "As `--batch-size`."),
  ubatchSize: setting(1, 65_536, "As `--ubatch-size`."),
});
export type ModelLoadRequest = Static<typeof ModelLoadRequest>;

export const ModelUnloadRequest = Type.Object({ model: MODEL, wait: WAIT });

const BACKEND_USE = orNull(
  Type.Object({
    wanted: Type.Array(Type.String()),
    used: Type.Array(Type.String()),
    fallback: orNull(Type.String(), "What is used in place of the first one that was asked for."),
    skipped: Type.Array(Type.Object({ file: Type.String(), reason: Type.String() })),
  }),
  "Where its engine computes; null: it has none.",
);

export const ModelLoadReply = Type.Object({
  id: Type.String(),
  state: Type.String({ description: "`loaded`; of one that nobody waited for also `loading`." }),
  default: Type.Boolean({ description: "Requests that name no model are for it." }),
  backend: BACKEND_USE,
  devices: Type.Array(Type.String()),
  contextLength: orNull(Type.Integer(), "Most tokens of one request."),
  loadMs: orNull(Type.Number()),
  sleepsInMs: orNull(Type.Number(), "Null: it stays, or has no engine."),
});
export type ModelLoadReply = Static<typeof ModelLoadReply>;

const FREED = orNull(
  Type.Object({
    hostBytes: orNull(Type.Integer(), "Main memory that its process had of its own, just before its end."),
    mappedBytes: orNull(
      Type.Integer(),
      "Of mapped files, such as weights: these could be had before, and stay in memory while nobody needs the room.",
    ),
    available: Type.Object(
      { beforeBytes: orNull(Type.Integer()), afterBytes: orNull(Type.Integer()) },
      { description: "What could be had of main memory just before its end and just after; what others did is in it." },
    ),
    devices: Type.Array(
      Type.Object({
        id: Type.String(),
        freedBytes: orNull(Type.Integer()),
        by: Type.Union([Type.Literal("process"), Type.Literal("difference")], {
          description:
            "What the driver said that the process had, or by how much more is free; what others did is in that.",
        }),
      }),
    ),
    unknown: Type.Array(Type.String(), { description: "Why something is null." }),
  }),
  "What came back when its last engine's process was gone; null: it has one, had none, or still ends.",
);

export const ModelUnloadReply = Type.Object({
  id: Type.String(),
  state: Type.String(),
  loadsGivenUp: Type.Integer({ description: "Loads that came before, and were told `conflict`." }),
  requestsAhead: Type.Integer({ description: "Requests that came before: they are answered first." }),
  freed: FREED,
});
export type ModelUnloadReply = Static<typeof ModelUnloadReply>;

const { model: _model, wait: _wait, keepAlive: _keepAlive, ...LOAD_SETTINGS } = ModelLoadRequest.properties;

const RESIDENT = Type.Object({
  id: Type.String(),
  state: Type.String({
    description:
      "`unloaded`, `waiting` (for room), `loading`, `loaded`, `draining` (it ends when its running requests have), `asleep` " +
      "(the next request starts it), `failed`.",
  }),
  settings: Type.Object(LOAD_SETTINGS, {
    description: "Of those that a load can change, what is otherwise than the server's.",
  }),
  current: Type.Boolean({
    description: "False: its settings are older ones. It takes no new requests, and goes when its own have ended.",
  }),
  default: Type.Boolean(),
  pinned: Type.Boolean(),
  priority: Type.Integer(),
  pid: orNull(Type.Integer()),
  backend: BACKEND_USE,
  devices: Type.Array(Type.String()),
  plannedBytes: orNull(Type.Array(Type.Integer()), "What an engine of it is planned to take of each pool."),
  measuredBytes: orNull(
    Type.Array(Type.Integer()),
    "What its engine says that it took when it was loaded, of each pool; null: it has none, or does not say.",
  ),
  learned: PlanReply.properties.learned,
  memory: orNull(
    Type.Object({
      anonBytes: Type.Integer({ description: "Its process's own memory." }),
      mappedBytes: Type.Integer({ description: "Of mapped files, such as weights, what is in memory." }),
    }),
  ),
  requests: Type.Object({
    running: Type.Integer(),
    queued: Type.Integer({ description: "In its engine." }),
    waiting: Type.Integer({ description: "For an engine." }),
  }),
  tokensPerSecond: Type.Object(
    { prompt: orNull(Type.Number()), generation: orNull(Type.Number()) },
    { description: "While it computed, since this was asked last." },
  ),
  kv: orNull(Type.Object({ usedTokens: Type.Integer(), totalTokens: Type.Integer() })),
  sleepsInMs: orNull(Type.Number()),
  idleMs: orNull(Type.Number(), "Since a request was given its engine; null: none was."),
  loadMs: orNull(Type.Number()),
  loads: Type.Integer(),
  evictions: Type.Integer({ description: "How often it went for others." }),
  freed: FREED,
  kept: orNull(
    Type.Object({ sequences: Type.Integer(), tokens: Type.Integer() }),
    "What was on disk of its prompts when its last engine ended; null: it has one, or it is not known.",
  ),
  error: orNull(Type.String()),
});

export const ModelStatusReply = Type.Object({
  pools: Type.Array(
    Type.Object({
      name: Type.String(),
      budgetBytes: orNull(Type.Integer(), "Most bytes of all engines together; null: no limit is known."),
      plannedBytes: Type.Integer({ description: "Of those that there are, until their processes are gone." }),
    }),
    { description: "Memory by where it lies: main memory first, then each device." },
  ),
  swaps: Type.Integer({ description: "Engines that went for others." }),
  models: Type.Array(RESIDENT, {
    description: "Those that were ever asked for, and engines with older settings until they are gone.",
  }),
});
export type ModelStatusReply = Static<typeof ModelStatusReply>;

export const LOADING_COMPONENTS = {
  ModelLoadRequest,
  ModelUnloadRequest,
  ModelLoadReply,
  ModelUnloadReply,
  ModelStatusReply,
};
