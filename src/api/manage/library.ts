// GET /api/models/list, DELETE /api/models/by-id/*, POST /api/models/copy, rename, pin and unpin: what there is on the disk, and
// what people change about it. What may be changed is decided in models/, not here.

import { basename } from "node:path";
import type { Elysia } from "elysia";
import type { Described } from "../../models/model-file/described.ts";
import type { ModelCard } from "../../router/inference.ts";
import { BodyReader } from "../body.ts";
import { isLocalAddress } from "../host-check.ts";
import { decodeModelId } from "../openai/models.ts";
import type { ApiContext } from "../options.ts";
import { describeTrouble } from "../trouble.ts";
import { DELETE_DOCS, describeNaming, LIST_DOCS, PIN_DOCS, RENAME_DOCS, UNPIN_DOCS } from "./library-docs.ts";
import {
  ModelCopyRequest,
  type ModelLibraryReply,
  type ModelNameReply,
  type ModelPinReply,
  ModelPinRequest,
  type ModelRemovedReply,
  ModelRenameRequest,
} from "./library-schema.ts";

const BY_ID = "/api/models/by-id/";
const copyBodies = new BodyReader(ModelCopyRequest);
const renameBodies = new BodyReader(ModelRenameRequest);
const pinBodies = new BodyReader(ModelPinRequest);

export function addLibraryRoutes(app: Elysia, api: ApiContext): void {
  const { inference, options, clock } = api;
  app.get(
    "/api/models/list",
    () => {
      const isLocal = isLocalAddress(options.host);
      const reply: ModelLibraryReply = { models: inference.listModels().map((card) => encodeCard(card, isLocal)) };
      return Response.json(reply);
    },
    { detail: LIST_DOCS },
  );
  app.delete(
    `${BY_ID}*`,
    ({ path }) => {
      const id = decodeModelId(path.slice(BY_ID.length));
      const reply: ModelRemovedReply = { id, removed: inference.remove(id) };
      return Response.json(reply);
    },
    { detail: DELETE_DOCS },
  );
  app.post(
    "/api/models/copy",
    async ({ request }) => {
      const { source, destination } = await copyBodies.read(request, options.bodyBytesMax, clock);
      inference.addAlias(source, destination);
      const reply: ModelNameReply = { id: inference.resolveModel(source).id };
      return Response.json(reply);
    },
    { detail: describeNaming() },
  );
  app.post(
    "/api/models/rename",
    async ({ request }) => {
      const { model, name } = await renameBodies.read(request, options.bodyBytesMax, clock);
      const reply: ModelNameReply = { id: inference.rename(model, name) };
      return Response.json(reply);
    },
    { detail: RENAME_DOCS },
  );
  for (const [path, pins, detail] of [
    ["/api/models/pin", true, PIN_DOCS],
    ["/api/models/unpin", false, UNPIN_DOCS],
  ] as const) {
    app.post(
      path,
      async ({ request }) => {
        const { model } = await pinBodies.read(request, options.bodyBytesMax, clock);
        const { id, pinned } = inference.pin(model, pins);
        const reply: ModelPinReply = { id, pinned };
        return Response.json(reply);
      },
      { detail },
    );
  }
}

type Listed = ModelLibraryReply["models"][number];

/** `isLocal`: where files lie is told to programs on this machine alone. */
function encodeCard(card: ModelCard, isLocal: boolean): Listed {
  const { described, capabilities, companions } = card;
  return {
    id: card.id,
    displayName: card.displayName,
    modelType: described?.modelType ?? null,
    aliases: card.aliases,
    givenNames: card.givenNames,
    place: card.place,
    path: isLocal ? card.path : null,
    sizeBytes: card.sizeBytes,
    modifiedMs: card.created * 1000,
    architecture: card.architecture,
    quantization: card.quantization,
    capabilities: Object.entries(capabilities).flatMap(([name, can]) => (can ? [name] : [])),
    companions: companions.map(({ kind, name, sizeBytes }) => ({ kind, name, sizeBytes })),
    modelFile: described && encodeModelFile(described),
    state: card.state,
    loaded: card.state === "loaded",
    pinned: card.pinned,
    sleepsInMs: card.sleepsInMs,
    backend: card.backend && encodeBackend(card.backend),
    default: card.isDefault,
    demo: card.demo,
    error: describeTrouble(card, isLocal),
  };
}

function encodeBackend({ wanted, used, fallback, skipped }: NonNullable<ModelCard["backend"]>): Listed["backend"] {
  return { wanted: [...wanted], used: [...used], fallback, skipped: skipped.map((plugin) => ({ ...plugin })) };
}

/** Where it lies is nobody's business who asks for a model by its name. */
export function encodeModelFile(described: Described): NonNullable<Listed["modelFile"]> {
  const { file, content, withoutEffect, hardware } = described;
  return {
    name: basename(file),
    content: { ...content },
    withoutEffect,
    hardware: hardware.map((note) => ({ ...note })),
  };
}
