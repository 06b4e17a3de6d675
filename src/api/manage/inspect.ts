// POST /api/models/inspect and GET /api/models/by-id/*: what a file or folder is before it is served, and all that a model's
// own file says. Reads headers; loads nothing.

import { basename } from "node:path";
import type { Elysia } from "elysia";
import type { Fit } from "../../hub/look.ts";
import { inspectPath, inspectWhole } from "../../models/inspect.ts";
import { readHeaderFacts } from "../../models/memory/header-facts.ts";
import { AppError } from "../../protocol/errors.ts";
import { isRepository } from "../../protocol/hub-name.ts";
import type { ModelCard } from "../../router/inference.ts";
import type { HeaderModel } from "../../router/placement/planning.ts";
import { BodyReader } from "../body.ts";
import { isLocalAddress } from "../host-check.ts";
import { decodeModelId } from "../openai/models.ts";
import type { ApiContext } from "../options.ts";
import { describeRoute } from "../route-docs.ts";
import { encodePlan } from "./encode-plan.ts";
import { encodeModelFile } from "./library.ts";
import { type InspectReply, InspectRequest, type ModelContentsReply } from "./schema.ts";

const BY_ID = "/api/models/by-id/";
const bodies = new BodyReader(InspectRequest);

export function addInspectRoutes(app: Elysia, api: ApiContext): void {
  app.post(
    "/api/models/inspect",
    async ({ request }) => {
      const { path } = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      const place = choosePlace(path, api);
      if (typeof place === "string") return Response.json(encodeFound(inspectPath(place), null));
      const { found, ...look } = await api.hub.look(
        place.hub,
        (source, remote) => {
          const told = inspectPath(remote, { source });
          return { ...told, facts: readHeaderFacts(told, source) };
        },
        request.signal,
      );
      const { facts, ...told } = found;
      const planned = await planRemote(api, { id: look.name ?? look.repo, facts }, look.memory);
      return Response.json(encodeFound(told, { ...look, ...planned }));
    },
    { detail: INSPECT_DOCS },
  );
  // Ids may hold slashes, which `:id` does not match.
  app.get(
    `${BY_ID}*`,
    ({ path, request }) => {
      const card = api.inference.resolveModel(decodeModelId(path.slice(BY_ID.length)));
      const filter = new URL(request.url).searchParams.get("filter");
      return Response.json(describeContents(card, filter));
    },
    { detail: BY_ID_DOCS },
  );
}

/** By what its headers say, as if it were loaded beside what is loaded now. */
async function planRemote(
  { planner }: ApiContext,
  model: HeaderModel,
  memory: Fit,
): Promise<Pick<NonNullable<InspectReply["hub"]>, "memory" | "plan" | "noPlan">> {
  if (model.facts.kind === "none") return { memory, plan: null, noPlan: model.facts.reason };
  return { memory: null, plan: encodePlan(await planner.planHeaders(model)), noPlan: null };
}

function encodeFound(found: ReturnType<typeof inspectPath>, hub: InspectReply["hub"]): InspectReply {
  return { ...found, files: [...found.files], missing: [...found.missing], hub };
}

/** What is here by its path or name, else the Hub's of that name; `hf:` asks for the Hub's in any case. */
function choosePlace(path: string, api: ApiContext): string | { hub: string } {
  if (path.startsWith("hf:")) return { hub: path };
  try {
    return choosePath(path, api, "path");
  } catch (thrown) {
    const isUnknown = thrown instanceof AppError && thrown.code === "model_not_found";
    if (isUnknown && isRepository(path.split(":")[0] ?? "")) return { hub: path };
    throw thrown;
  }
}

/** An absolute path, for programs on this machine; anything else is a model's name. */
export function choosePath(path: string, api: ApiContext, param: string): string {
  if (path.includes("\0")) {
    throw new AppError({ code: "invalid_request", message: `\`${param}\` holds a NUL, which no path has`, param });
  }
  if (!path.startsWith("/")) return api.inference.resolveModel(path).path;
  if (isLocalAddress(api.options.host)) return path;
  throw new AppError({
    code: "forbidden",
    message: "paths are told about only while the server listens on this machine alone",
    hint: "Name a model instead, or use ml-offload show PATH there.",
  });
}

/** Where files lie is nobody's business who asks for a model by its name: their names are enough. */
function describeContents({ id, path, described }: ModelCard, filter: string | null): ModelContentsReply {
  const { guidance, files, missing, tensors, path: _place, ...found } = inspectWhole(path, { filter, tensors: true });
  return {
    id,
    ...found,
    files: files.map((file) => basename(file)),
    missing: [...missing],
    reason: guidance.reason,
    memoryBytes: guidance.memoryBytes,
    tensors: tensors.map(({ name, type, shape, file }) => ({ name, type, shape: [...shape], file: basename(file) })),
    modelFile: described && { ...encodeModelFile(described), chatTemplate: described.chatTemplate },
  };
}

const INSPECT_DOCS = describeRoute({
  operationId: "inspectModel",
  tag: "System",
  summary: "Tell what a file or folder is",
  description:
    "By its bytes: its format, whether it runs, and what to do where it does not. Paths are told about only while the " +
    "server listens on a loopback address; `docs/formats.md` lists the formats. Of a model of the Hugging Face Hub the " +
    "headers are read without downloading it, and `hub` tells whether there is room for it here: `hub.plan` is what `POST /api/plan` " +
    "would answer, by the formula alone.",
  body: { schema: "InspectRequest", examples: { model: { path: "demo" } } },
  reply: { schema: "InspectReply", description: "What lies there." },
  errors: [
    "invalid_request",
    "model_not_found",
    "payload_too_large",
    "timeout",
    "unauthorized",
    "rate_limited",
    "not_supported",
    "download_failed",
  ],
});

const BY_ID_DOCS = describeRoute({
  operationId: "getModelContents",
  tag: "System",
  summary: "Show a model's metadata and tensors",
  description: "Ids may hold slashes, as they are or as %2F; aliases and `default` work too.",
  pathParameter: { name: "model", description: "The model's id or alias.", example: "demo" },
  query: [
    {
      name: "filter",
      description: "Only metadata and tensors with this text in their names, upper and lower case alike.",
      schema: { type: "string" },
    },
  ],
  reply: {
    schema: "ModelContentsReply",
    description: "All that the model's files say of themselves, and its model file of them.",
  },
  errors: ["invalid_request", "model_not_found"],
});
