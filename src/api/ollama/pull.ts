// POST /api/pull: downloads a model of the Hub. Of a name that is served already there is nothing to do; names of Ollama's
// own registry are refused, and so are addresses: a web page or a program must not have us ask just anybody.

import type { Elysia } from "elysia";
import type { PullEvent } from "../../hub/hub.ts";
import { AppError, toAppError } from "../../protocol/errors.ts";
import { isRepository } from "../../protocol/hub-name.ts";
import type { ConversionJob } from "../../router/conversions/conversions.ts";
import { BodyReader } from "../body.ts";
import { streamFrames } from "../frame-stream.ts";
import { type ApiContext, streamOptions } from "../options.ts";
import { RequestScope } from "../request-scope.ts";
import { describeOllamaRoute } from "./docs.ts";
import { requireName, resolveTagged } from "./names.ts";
import { PULL_SUCCESS, PullLines } from "./pull-lines.ts";
import { OllamaPullRequest } from "./schema.ts";

const bodies = new BodyReader(OllamaPullRequest);

export function addOllamaPullRoute(app: Elysia, api: ApiContext): void {
  app.post(
    "/api/pull",
    async ({ request }) => {
      const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      return await answerPull(api, request, requireName(body), body.stream ?? true);
    },
    { detail: DOCS },
  );
}

async function answerPull(api: ApiContext, request: Request, name: string, stream: boolean): Promise<Response> {
  // A download takes as long as it takes: --request-timeout is for answers of models.
  const scope = new RequestScope(request.signal, 0, api.clock);
  const lines = new PullLines((reason) => scope.abort(reason));
  const begun = Promise.withResolvers<void>();
  const onEvent = (event: PullEvent): void => {
    lines.push(event);
    if (event.type === "planned" || event.type === "done") begun.resolve();
  };
  const ended = pull(api, name, { signal: scope.signal, onEvent, onConversion: (job) => lines.tell(job) });
  ended.then(
    () => lines.end(null),
    (thrown: unknown) => lines.end(toAppError(thrown)),
  );
  try {
    // A refusal has its status; what fails later is a line.
    await (stream ? Promise.race([begun.promise, ended]) : ended);
  } finally {
    if (!stream) scope.close();
  }
  if (!stream) return Response.json(PULL_SUCCESS);
  ended.then(
    () => scope.close(),
    () => scope.close(),
  );
  return streamFrames(lines, streamOptions(api));
}

interface PullHooks {
  signal: AbortSignal;
  onEvent: (event: PullEvent) => void;
  onConversion: (job: ConversionJob) => void;
}

/** Weights that are no GGUF are converted, as the first request for them would: a model that was pulled answers. */
async function pull(api: ApiContext, name: string, { signal, onEvent, onConversion }: PullHooks): Promise<void> {
  if (namesHub(name)) {
    const { weightsFolder } = await api.hub.pull(name, { takesWeights: true, signal, onEvent });
    if (weightsFolder !== null) await api.conversions.prepare(weightsFolder, signal, onConversion);
    return;
  }
  try {
    const card = resolveTagged(api, name);
    onEvent({ type: "done", name: card.id, folder: "", wasThere: true });
  } catch (thrown) {
    if (!(thrown instanceof AppError) || thrown.code !== "model_not_found") throw thrown;
    const message = `the model ${JSON.stringify(name.slice(0, 200))} is not here, and only the Hub's are downloaded`;
    const hint = "Ask for owner/repo or owner/repo:TAG of the Hugging Face Hub; `ml-offload pull` takes addresses too.";
    throw new AppError({ code: "model_not_found", message, hint, param: "model" }, { cause: thrown });
  }
}

/** `owner/repo`, with or without a tag and the Hub's host. */
function namesHub(name: string): boolean {
  const [repo = ""] = name.replace(/^(hf\.co|huggingface\.co)\//i, "").split(":");
  return isRepository(repo);
}

const DOCS = describeOllamaRoute({
  operationId: "ollamaPull",
  summary: "Download a model of the Hugging Face Hub",
  description:
    "`owner/repo:TAG`, or `owner/repo` for the largest quantisation that fits into memory; `hf.co/` may stand before it. It " +
    "lands in the server's own models folder and is listed when all of it is there and its SHA-256 is right. A request " +
    "that goes away stops the download; the next one goes on with what has arrived. Of a repository without GGUF files the " +
    "weights are fetched and converted, which lines tell too. Names of models that are here succeed at once.",
  body: {
    schema: "OllamaPullRequest",
    examples: { small: { model: "owner/repo-GGUF:Q4_K_M", stream: false }, streamed: { model: "owner/repo-GGUF" } },
  },
  reply: {
    schema: "OllamaPullReply",
    description: "`success`; as a stream lines that tell how far it is, with `success` as the last one.",
    streamSchema: ["OllamaPullReply", "OllamaErrorReply"],
  },
  errors: [
    "invalid_request",
    "model_not_found",
    "unauthorized",
    "rate_limited",
    "overloaded",
    "out_of_memory",
    "storage_unavailable",
    "download_failed",
    "format_unsupported",
    "model_damaged",
    "engine_crashed",
    "not_supported",
    "payload_too_large",
    "timeout",
  ],
});
