// GET /api/hub/search: models of the Hugging Face Hub that could be downloaded, with what fits here.

import type { Elysia } from "elysia";
import { SEARCH_CAPABILITIES, SEARCH_LIMIT_MAX, SEARCH_TASKS, type SearchHit } from "../../hub/search.ts";
import { AppError } from "../../protocol/errors.ts";
import { readInteger, readQueryText } from "../list-pages.ts";
import type { ApiContext } from "../options.ts";
import { describeRoute } from "../route-docs.ts";
import type { HubSearchReply } from "./schema.ts";

const LIMIT_DEFAULT = 10;
/** Names of models are shorter. */
const WORDS_CHARS_MAX = 200;

export function addHubSearchRoute(app: Elysia, api: ApiContext): void {
  app.get(
    "/api/hub/search",
    async ({ request }) => {
      const query = new URL(request.url).searchParams;
      const words = readQueryText(query, "q")?.trim() ?? "";
      if (words.length > WORDS_CHARS_MAX) throw invalid("q", `must be at most ${WORDS_CHARS_MAX} characters`);
      const hits = await api.hub.search({
        words,
        task: readChoice(query, "task", SEARCH_TASKS),
        capability: readChoice(query, "capability", SEARCH_CAPABILITIES),
        bytesMin: readInteger(query, "min_bytes", 0, Number.MAX_SAFE_INTEGER) ?? null,
        bytesMax: readInteger(query, "max_bytes", 0, Number.MAX_SAFE_INTEGER) ?? null,
        fits: readChoice(query, "fits", ["true", "false"]) === "true",
        limit: readInteger(query, "limit", 1, SEARCH_LIMIT_MAX) ?? LIMIT_DEFAULT,
        signal: request.signal,
      });
      return Response.json({ models: hits.map(encodeHit) } satisfies HubSearchReply);
    },
    { detail: DOCS },
  );
}

function readChoice<const T extends string>(query: URLSearchParams, name: string, choices: readonly T[]): T | null {
  const text = readQueryText(query, name);
  if (text === null) return null;
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw invalid(name, `must be one of ${choices.join(", ")}`);
}

function invalid(param: string, problem: string): AppError {
  return new AppError({ code: "invalid_request", message: `the query's \`${param}\` ${problem}`, param });
}

function encodeHit(hit: SearchHit): HubSearchReply["models"][number] {
  const { repo, downloads, likes, gated, architecture, capabilities, variants, choice, error } = hit;
  return {
    repo,
    downloads,
    likes,
    gated,
    updatedAt: hit.updatedAt,
    architecture,
    context_length: hit.contextLength,
    parameter_count: hit.parameterCount,
    capabilities,
    variants: variants.map(({ tag, sizeBytes, fits }) => ({ tag, sizeBytes, fits })),
    pull: choice === null ? null : `${repo}:${choice}`,
    error,
  };
}

const DOCS = describeRoute({
  operationId: "searchHub",
  tag: "System",
  summary: "Search the Hugging Face Hub",
  description:
    "Repositories with GGUF files, the most downloaded ones first, with the size of each of their models and whether it fits " +
    "into the memory that is free now. `POST /api/pull` downloads one.",
  query: [
    {
      name: "q",
      description: "Words of the name; absent: any.",
      schema: { type: "string", maxLength: WORDS_CHARS_MAX },
    },
    { name: "task", description: "What the model is for; absent: anything.", schema: { enum: [...SEARCH_TASKS] } },
    {
      name: "capability",
      description: "What its chat template speaks of; absent: anything.",
      schema: { enum: [...SEARCH_CAPABILITIES] },
    },
    { name: "min_bytes", description: "Models of at least so many bytes.", schema: { type: "integer", minimum: 0 } },
    { name: "max_bytes", description: "Models of at most so many bytes.", schema: { type: "integer", minimum: 0 } },
    { name: "fits", description: "`true`: only what fits into memory.", schema: { enum: ["true", "false"] } },
    {
      name: "limit",
      description: "Most repositories.",
      schema: { type: "integer", minimum: 1, maximum: SEARCH_LIMIT_MAX, default: LIMIT_DEFAULT },
    },
  ],
  reply: { schema: "HubSearchReply", description: "What was found." },
  errors: ["invalid_request", "unauthorized", "rate_limited", "not_supported", "download_failed"],
});
