// Pages of a list, as OpenAI's routes take and give them: `limit`, `order`, `after`; and single values of a query. Pure.

import { AppError } from "../protocol/errors.ts";
import type { Page, PageRequest } from "../state/items.ts";

const LIMIT_DEFAULT = 20;
/** OpenAI's own. */
const LIMIT_MAX = 100;

export const PAGE_QUERY_DOCS = [
  { name: "limit", description: "Items of a page.", schema: { type: "integer", minimum: 1, maximum: LIMIT_MAX } },
  { name: "order", description: "By their arrival; default `desc`.", schema: { enum: ["asc", "desc"] } },
  { name: "after", description: "The id of the last item of the page before.", schema: { type: "string" } },
];

/** Throws `invalid_request`. */
export function readPageRequest(query: URLSearchParams): PageRequest {
  const order = readQueryText(query, "order") ?? "desc";
  if (order !== "asc" && order !== "desc") throw invalid("order", "must be asc or desc");
  const limit = readInteger(query, "limit", 1, LIMIT_MAX) ?? LIMIT_DEFAULT;
  return { after: readQueryText(query, "after"), limit, order };
}

/** Null: absent. Throws `invalid_request` for a name that comes twice: which of its values counts would be a guess. */
export function readQueryText(query: URLSearchParams, name: string): string | null {
  const values = query.getAll(name);
  if (values.length > 1) throw invalid(name, `is given ${values.length} times`);
  return values[0] ?? null;
}

/** Null: absent. Throws `invalid_request`. */
export function readInteger(query: URLSearchParams, name: string, minimum: number, maximum: number): number | null {
  const text = readQueryText(query, name);
  if (text === null) return null;
  const value = Number(text);
  if (/^\d{1,15}$/.test(text) && value >= minimum && value <= maximum) return value;
  throw invalid(name, `must be an integer from ${minimum} to ${maximum}`);
}

/** Absent is false. Throws `invalid_request`. */
export function readSwitch(query: URLSearchParams, name: string): boolean {
  const text = readQueryText(query, name);
  if (text === null || text === "false") return false;
  if (text === "true") return true;
  throw invalid(name, "must be true or false");
}

/** `page` null: `after` names no item of the list. */
export function encodePage(page: Page | null): object {
  if (page === null) throw invalid("after", "names no item of this list");
  const data = page.items.map(({ body }) => body);
  return {
    object: "list",
    data,
    first_id: page.items.at(0)?.id ?? null,
    last_id: page.items.at(-1)?.id ?? null,
    has_more: page.hasMore,
  };
}

function invalid(param: string, problem: string): AppError {
  return new AppError({ code: "invalid_request", message: `the query's \`${param}\` ${problem}`, param });
}
