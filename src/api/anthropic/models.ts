// The models as Anthropic lists them, page by page: pure answers for the routes of openai/models.ts, which has the paths.

import { AppError } from "../../protocol/errors.ts";
import type { ModelCard } from "../../router/inference.ts";
import { readQueryText } from "../list-pages.ts";
import { invalidField } from "../openai/limits.ts";
import type { AnthropicModelListReply, AnthropicModelReply } from "./reply-schema.ts";

/** Anthropic's own numbers. */
export const PAGE_MODELS = 20;
export const PAGE_MODELS_MAX = 1000;

export function encodeAnthropicModel(card: ModelCard): AnthropicModelReply {
  return {
    id: card.id,
    type: "model",
    display_name: card.displayName ?? card.id,
    created_at: new Date(card.created * 1000).toISOString().replace(".000Z", "Z"),
    max_input_tokens: card.contextLength,
    max_tokens: card.contextLength,
    lifecycle: "active",
  };
}

/** The page that `limit`, `after_id` and `before_id` ask for: behind the one, or the last ones before the other. */
export function pageModels(cards: readonly ModelCard[], query: URLSearchParams): AnthropicModelListReply {
  const limit = readLimit(readQueryText(query, "limit"));
  const after = findPlace(cards, query, "after_id");
  const before = findPlace(cards, query, "before_id");
  if (after !== null && before !== null) throw invalidField("before_id", "and `after_id` exclude each other");
  const start = before === null ? (after ?? -1) + 1 : Math.max(0, before - limit);
  const page = cards.slice(start, before ?? start + limit).map(encodeAnthropicModel);
  return {
    data: page,
    // In the direction in which the client goes.
    has_more: before === null ? start + page.length < cards.length : start > 0,
    first_id: page[0]?.id ?? null,
    last_id: page.at(-1)?.id ?? null,
  };
}

function readLimit(text: string | null): number {
  if (text === null) return PAGE_MODELS;
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= PAGE_MODELS_MAX) return limit;
  throw invalidField("limit", `must be an integer from 1 to ${PAGE_MODELS_MAX}`);
}

function findPlace(cards: readonly ModelCard[], query: URLSearchParams, param: string): number | null {
  const id = readQueryText(query, param);
  if (id === null || id === "") return null;
  const place = cards.findIndex((card) => card.id === id);
  if (place >= 0) return place;
  const message = `\`${param}\` names no model: ${JSON.stringify(id.slice(0, 60))}`;
  throw new AppError({ code: "invalid_request", message, param, hint: "Give an id of the page before." });
}
