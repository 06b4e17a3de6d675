// Finds repositories with GGUF files on the Hub, and tells of each which models it has, how large they are, what they can do,
// and which of them fit into memory. Downloads nothing.

import { listModels, type PipelineType } from "@huggingface/hub";
import { countOf, fieldOf, textOf } from "../formats/file-source.ts";
import { AppError, toAppError } from "../protocol/errors.ts";
import { isRepository } from "../protocol/hub-name.ts";
import { judgeTemplate, type TemplateCapabilities } from "../protocol/template-capabilities.ts";
import { createLibraryFetch } from "./library-fetch.ts";
import { listRepository } from "./repository.ts";
import type { Requester } from "./requester.ts";
import { chooseVariant, fitsMemory, listVariants } from "./variant.ts";

export const SEARCH_TASKS = ["chat", "embedding", "rerank", "vision"] as const;
export type SearchTask = (typeof SEARCH_TASKS)[number];
export const SEARCH_CAPABILITIES = ["tools", "reasoning"] as const;
export type SearchCapability = (typeof SEARCH_CAPABILITIES)[number];

export interface SearchQuery {
  words: string;
  /** What the model is for; null: anything. */
  task: SearchTask | null;
  /** What its chat template must speak of; null: of anything. */
  capability?: SearchCapability | null;
  /** Only models of such a size, weights alone. */
  bytesMin?: number | null;
  bytesMax?: number | null;
  /** Only what fits into memory. */
  fits?: boolean;
  limit: number;
  signal: AbortSignal;
}

export interface SearchVariant {
  tag: string;
  sizeBytes: number;
  /** Null: it is not known how much memory there is. */
  fits: boolean | null;
}

export interface SearchHit {
  repo: string;
  downloads: number;
  likes: number;
  /** Its files are given only to who accepts terms. */
  gated: boolean;
  /** ISO 8601; null: not told. */
  updatedAt: string | null;
  /** As the Hub read them in one of its files; null: it has not told. */
  architecture: string | null;
  contextLength: number | null;
  parameterCount: number | null;
  capabilities: TemplateCapabilities | null;
  /** Smallest first; those of the sizes that were asked for. */
  variants: SearchVariant[];
  /** What a pull without a tag takes; null: nothing fits. */
  choice: string | null;
  /** Why its files could not be listed. */
  error: string | null;
}

/** Each is a request of its own for its files. */
export const SEARCH_LIMIT_MAX = 50;
/** Those requests at once. */
const CONNECTIONS = 4;
/** Repositories that are looked at for one that passes: what the Hub can't filter by, we do. */
const CANDIDATES_PER_HIT = 5;
const CANDIDATES_MAX = 100;

const TASKS: Readonly<Record<SearchTask, PipelineType>> = {
  chat: "text-generation",
  embedding: "feature-extraction",
  rerank: "text-ranking",
  vision: "image-text-to-text",
};

/** The most downloaded ones first. Throws AppError. */
export async function searchHub(
  requester: Requester,
  query: SearchQuery,
  largestBytes: number | null,
): Promise<SearchHit[]> {
  const { words, task, limit, signal } = query;
  const { endpoint } = requester.settings;
  const asked = { what: new URL(endpoint).host, page: null };
  const wanted = Math.min(limit, SEARCH_LIMIT_MAX);
  const found = listModels({
    search: { query: words, tags: ["gguf"], ...(task === null ? {} : { task: TASKS[task] }) },
    sort: "downloads",
    limit: isNarrow(query) ? Math.min(wanted * CANDIDATES_PER_HIT, CANDIDATES_MAX) : wanted,
    // The library hands over any field of the Hub's answer, and its types do not know this one.
    additionalFields: ["gguf" as "config"],
    hubUrl: endpoint,
    fetch: createLibraryFetch({ requester, asked, signal, what: "list of models", key: "id" }),
  });
  const hits: SearchHit[] = [];
  for await (const model of found) {
    const hit = describeModel(model);
    if (hit !== null && passesListing(hit, query)) hits.push(hit);
  }
  const passed: SearchHit[] = [];
  // A few at a time, so that no more are asked about than are needed.
  while (hits.length > 0 && passed.length < wanted) {
    const some = hits.splice(0, Math.min(CONNECTIONS, wanted));
    await Promise.all(some.map(async (hit) => await addVariants(requester, hit, query, largestBytes)));
    passed.push(...some.filter((hit) => !isNarrow(query) || hit.variants.length > 0));
  }
  return passed.slice(0, wanted);
}

function isNarrow({ capability = null, bytesMin = null, bytesMax = null, fits = false }: SearchQuery): boolean {
  return capability !== null || bytesMin !== null || bytesMax !== null || fits;
}

function passesListing({ capabilities }: SearchHit, { capability = null }: SearchQuery): boolean {
  return capability === null || capabilities?.[capability] === true;
}

interface ListedModel {
  name: string;
  downloads: number;
  likes: number;
  gated: unknown;
  updatedAt: Date;
}

/** What a stranger tells may be anything. Null: its name is none. */
function describeModel(model: ListedModel): SearchHit | null {
  const { name, downloads, likes, gated, updatedAt } = model;
  if (!isRepository(name)) return null;
  const gguf = fieldOf(model, "gguf");
  const template = textOf(fieldOf(gguf, "chat_template"));
  const count = (value: unknown): number => (Number.isSafeInteger(value) ? (value as number) : 0);
  return {
    repo: name,
    downloads: count(downloads),
    likes: count(likes),
    gated: gated !== false,
    updatedAt: Number.isNaN(updatedAt.getTime()) ? null : updatedAt.toISOString(),
    architecture: textOf(fieldOf(gguf, "architecture"))?.slice(0, 80) ?? null,
    contextLength: countOf(fieldOf(gguf, "context_length")),
    parameterCount: countOf(fieldOf(gguf, "total")),
    capabilities: template === null ? null : judgeTemplate(template),
    variants: [],
    choice: null,
    error: null,
  };
}

/** One that can't be listed, such as a gated one, is told of all the same. */
async function addVariants(
  requester: Requester,
  hit: SearchHit,
  { signal, bytesMin, bytesMax, fits: mustFit = false }: SearchQuery,
  largestBytes: number | null,
): Promise<void> {
  try {
    const listed = listVariants(await listRepository(requester, hit.repo, "main", signal));
    const variants = listed.filter(
      ({ sizeBytes }) =>
        sizeBytes >= (bytesMin ?? 0) &&
        sizeBytes <= (bytesMax ?? Number.POSITIVE_INFINITY) &&
        (!mustFit || fitsMemory(sizeBytes, largestBytes) !== false),
    );
    hit.variants = variants
      .map(({ tag, sizeBytes }) => ({ tag, sizeBytes, fits: fitsMemory(sizeBytes, largestBytes) }))
      .sort((a, b) => a.sizeBytes - b.sizeBytes);
    const fits = variants.some(({ sizeBytes }) => fitsMemory(sizeBytes, largestBytes) !== false);
    if (fits) hit.choice = chooseVariant(variants, { repo: hit.repo, wanted: null, largestBytes }).tag;
  } catch (thrown) {
    if (!(thrown instanceof AppError) || thrown.code === "cancelled") throw toAppError(thrown);
    hit.error = thrown.message;
  }
}
