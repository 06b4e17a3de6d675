// Finds repositories with GGUF files on the Hub, and tells of each which models it has, how large they are, and which of
// them fit into memory. Downloads nothing.

import { listModels, type PipelineType } from "@huggingface/hub";
import { AppError, toAppError } from "../protocol/errors.ts";
import { isRepository } from "../protocol/hub-name.ts";
import { createLibraryFetch } from "./library-fetch.ts";
import { listRepository } from "./repository.ts";
import type { Requester } from "./requester.ts";
import { chooseVariant, fitsMemory, listVariants } from "./variant.ts";

export const SEARCH_TASKS = ["chat", "embedding", "rerank", "vision"] as const;
export type SearchTask = (typeof SEARCH_TASKS)[number];

export interface SearchQuery {
  words: string;
  /** What the model is for; null: anything. */
  task: SearchTask | null;
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
  /** Smallest first. */
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

const TASKS: Readonly<Record<SearchTask, PipelineType>> = {
  chat: "text-generation",
  embedding: "feature-extraction",
  rerank: "text-ranking",
  vision: "image-text-to-text",
};

/** The most downloaded ones first. Throws AppError. */
export async function searchHub(
  requester: Requester,
  { words, task, limit, signal }: SearchQuery,
  memoryBytes: number | null,
): Promise<SearchHit[]> {
  const { endpoint } = requester.settings;
  const asked = { what: new URL(endpoint).host, page: null };
  const found = listModels({
    search: { query: words, tags: ["gguf"], ...(task === null ? {} : { task: TASKS[task] }) },
    sort: "downloads",
    limit: Math.min(limit, SEARCH_LIMIT_MAX),
    hubUrl: endpoint,
    fetch: createLibraryFetch({ requester, asked, signal, what: "list of models", key: "id" }),
  });
  const hits: SearchHit[] = [];
  for await (const { name, downloads, likes, gated, updatedAt } of found) {
    if (!isRepository(name)) continue;
    const date = Number.isNaN(updatedAt.getTime()) ? null : updatedAt.toISOString();
    const count = (value: unknown): number => (Number.isSafeInteger(value) ? (value as number) : 0);
    hits.push({
      repo: name,
      downloads: count(downloads),
      likes: count(likes),
      gated: gated !== false,
      updatedAt: date,
      variants: [],
      choice: null,
      error: null,
    });
  }
  const queue = [...hits];
  const work = async (): Promise<void> => {
    for (let hit = queue.shift(); hit !== undefined; hit = queue.shift()) {
      await addVariants(requester, hit, memoryBytes, signal);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, work));
  return hits;
}

/** One that can't be listed, such as a gated one, is told of all the same. */
async function addVariants(
  requester: Requester,
  hit: SearchHit,
  memoryBytes: number | null,
  signal: AbortSignal,
): Promise<void> {
  try {
    const variants = listVariants(await listRepository(requester, hit.repo, "main", signal));
    hit.variants = variants
      .map(({ tag, sizeBytes }) => ({ tag, sizeBytes, fits: fitsMemory(sizeBytes, memoryBytes) }))
      .sort((a, b) => a.sizeBytes - b.sizeBytes);
    const fits = variants.some(({ sizeBytes }) => fitsMemory(sizeBytes, memoryBytes) !== false);
    if (fits) hit.choice = chooseVariant(variants, { repo: hit.repo, wanted: null, memoryBytes }).tag;
  } catch (thrown) {
    if (!(thrown instanceof AppError) || thrown.code === "cancelled") throw toAppError(thrown);
    hit.error = thrown.message;
  }
}
