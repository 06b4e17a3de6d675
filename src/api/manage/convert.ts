// POST, GET and DELETE /api/models/convert: conversions of folders of weights into the server's own models folder. They run
// on when their requester leaves; whoever names a path must be on this machine.

import type { Elysia } from "elysia";
import { inspectPath } from "../../models/inspect.ts";
import { isReservedName } from "../../models/name.ts";
import { explainDetection } from "../../models/weights-folder.ts";
import { AppError } from "../../protocol/errors.ts";
import { BodyReader } from "../body.ts";
import { isLocalAddress } from "../host-check.ts";
import type { ApiContext } from "../options.ts";
import { describeRoute } from "../route-docs.ts";
import { describeTrouble } from "../trouble.ts";
import { type ConversionListReply, ConvertRequest } from "./convert-schema.ts";
import { encodeConversion } from "./encode-conversion.ts";
import { choosePath } from "./inspect.ts";

const PATH = "/api/models/convert";
const bodies = new BodyReader(ConvertRequest);

export function addConvertRoutes(app: Elysia, api: ApiContext): void {
  app.post(
    PATH,
    async ({ request }) => {
      const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      const name = body.name?.replace(/\.gguf$/i, "") ?? null;
      if (name !== null && isReservedName(name)) throw reserved(name);
      const source = chooseSource(body.source, api);
      const job = api.conversions.start({ label: body.source, source, outType: body.outtype ?? "auto", name });
      if (body.wait === true) await untilEnded(job.id, api);
      return Response.json(encodeConversion(api.conversions.get(job.id)));
    },
    { detail: START_DOCS },
  );
  app.get(
    PATH,
    () => {
      const reply: ConversionListReply = { conversions: api.conversions.list().map(encodeConversion) };
      return Response.json(reply);
    },
    { detail: LIST_DOCS },
  );
  app.delete(
    `${PATH}/:conversion_id`,
    async ({ params }) => Response.json(encodeConversion(await api.conversions.cancel(params.conversion_id))),
    { detail: CANCEL_DOCS },
  );
}

/** That somebody cancelled it stands in its state; what it failed with is an error. */
async function untilEnded(id: string, api: ApiContext): Promise<void> {
  try {
    await api.conversions.outcome(id);
  } catch (thrown) {
    if (!(thrown instanceof AppError)) throw thrown;
    if (thrown.code !== "cancelled") throw blameSource(thrown);
  }
}

/** Of damage the one who named the source is told: it is no fault of the server's, as of a model that it lists is. */
function blameSource(error: AppError): AppError {
  if (error.code !== "model_damaged") return error;
  const { message, hint } = error;
  return new AppError({ code: "invalid_request", message, hint, param: "source" }, { cause: error });
}

/** A folder that can be converted. What is wrong with it is said now: nobody shall look for it in a list. */
function chooseSource(named: string, api: ApiContext): string {
  const path = choosePath(named, api, "source");
  if (!named.startsWith("/")) {
    const card = api.inference.resolveModel(named);
    if (card.conversion !== null) return path;
    const trouble = describeTrouble(card, isLocalAddress(api.options.host));
    throw trouble === null
      ? noNeed(named)
      : new AppError({ code: "invalid_request", message: trouble, hint: "Name another source.", param: "source" });
  }
  const found = inspectPath(path);
  const refusal = explainDetection(found);
  if (refusal !== null) throw blameSource(new AppError({ ...refusal, param: "source" }));
  if (found.verdict === "runs") throw noNeed(named);
  return path;
}

function reserved(name: string): AppError {
  const message = `\`name\` ${JSON.stringify(name)} asks for a model by itself and can't be the name of one`;
  return new AppError({ code: "invalid_request", message, hint: "Choose another name.", param: "name" });
}

function noNeed(named: string): AppError {
  const message = `${named} is no folder of weights that could be converted`;
  const hint = "Models that can be converted are listed with `conversion`; GGUF files are served as they are.";
  return new AppError({ code: "invalid_request", message, hint, param: "source" });
}

const START_DOCS = describeRoute({
  operationId: "convertModel",
  tag: "System",
  summary: "Convert a folder of weights",
  description:
    "Makes a GGUF file in the server's own models folder, where it is listed when it is whole. One conversion runs at a " +
    "time, others queue; asking again for the same joins it. Paths are taken only while the server listens on a loopback " +
    "address. Progress: this list, or the topic `convert` of `/api/events`. Models that are only to be used need no " +
    "conversion by hand: the first request converts them.",
  body: { schema: "ConvertRequest", examples: { listed: { source: "demo" } } },
  reply: { schema: "ConversionReply", description: "The conversion; with `wait` when it has ended." },
  errors: [
    "invalid_request",
    "model_not_found",
    "format_unsupported",
    "storage_unavailable",
    "engine_crashed",
    "overloaded",
    "payload_too_large",
    "timeout",
  ],
});

const LIST_DOCS = describeRoute({
  operationId: "listConversions",
  tag: "System",
  summary: "List conversions",
  description: "Those that wait and run, and the last ones that have ended, in the order in which they were asked for.",
  reply: { schema: "ConversionListReply", description: "The conversions." },
  errors: [],
});

const CANCEL_DOCS = describeRoute({
  operationId: "cancelConversion",
  tag: "System",
  summary: "End a conversion",
  description: "Nothing of it is left. One that has ended stays as it is.",
  pathParameters: [{ name: "conversion_id", description: "Its id.", example: "0c8a5f0e-8d1f-4a55-9d0c-4c8d2a4f7b11" }],
  reply: { schema: "ConversionReply", description: "The conversion, ended." },
  errors: ["not_found"],
});
