// Where a prompt's state came from, as clients read it: a header before the answer, a field in it. Pure.

import { type Static, Type } from "@sinclair/typebox";
import type { CacheReport, Usage } from "../protocol/generation.ts";
import { OutputWarning } from "./output-warnings.ts";
import { Truncation } from "./truncation.ts";

export const CACHE_HEADER = "X-MLO-Cache";

export const CACHE_HEADER_DOCS = {
  [CACHE_HEADER]:
    "Where the prompt's tokens came from: `live=0, retained=1500, disk=0, evaluated=23`, and where it left the nearest " +
    'kept one: `diverged=1500; old="14%3A02"; new="14%3A03"`. `queued` on a stream that still waits: its last chunk ' +
    "then says it. Several prompts are added up.",
};

/** Of each text that a header shows: proxies commonly allow 4 to 8 KiB of headers in all. */
const EXCERPT_CHARS_MAX = 60;

export const CacheReply = Type.Object(
  {
    live: Type.Integer({ description: "From a request that was running." }),
    retained: Type.Integer({ description: "From the kept state of one that had ended." }),
    disk: Type.Integer({ description: "Read from disk." }),
    evaluated: Type.Integer({ description: "Computed for this request." }),
    diverged: Type.Optional(
      Type.Object(
        {
          token: Type.Integer({ description: "Index of the first token that differs." }),
          old: Type.String({ description: "The kept prompt from there on." }),
          new: Type.String({ description: "This prompt from there on." }),
        },
        { description: "Where the prompt left the nearest kept one." },
      ),
    ),
  },
  {
    description:
      "Where the prompt's tokens came from. Of several choices it is the one that read the prompt, since the others share " +
      "its state; several prompts are added up, and `diverged` is left out.",
  },
);
export type CacheReply = Static<typeof CacheReply>;

export const MloReply = Type.Object({
  cache: CacheReply,
  dropped_tokens: Type.Optional(
    Type.Integer({ description: "With `context_shift`: tokens that left the full context. Absent: none." }),
  ),
  truncated: Type.Optional(Truncation),
  warnings: Type.Optional(
    Type.Array(OutputWarning, { description: "About the schemas of tools and of the answer. Absent: none." }),
  ),
});
export type MloReply = Static<typeof MloReply>;

/** Prompt tokens that were not computed for this request. */
export function countCached({ live, retained, disk }: CacheReport): number {
  return live + retained + disk;
}

export function encodeCache(cache: CacheReport, promptTokens: number): CacheReply {
  const { live, retained, disk, diverged } = cache;
  const evaluated = promptTokens - countCached(cache);
  return { live, retained, disk, evaluated, ...(diverged === undefined ? {} : { diverged }) };
}

/** What an ending says beyond the dialect's own fields. */
interface Told {
  usage: Usage;
  cache: CacheReport;
  warnings?: readonly OutputWarning[];
  truncated?: Truncation;
}

export function encodeMlo({ usage, cache, warnings = [], truncated }: Told): MloReply {
  const dropped = usage.droppedTokens === undefined ? {} : { dropped_tokens: usage.droppedTokens };
  const warned = warnings.length === 0 ? {} : { warnings: [...warnings] };
  const cut = truncated === undefined ? {} : { truncated };
  return { cache: encodeCache(cache, usage.promptTokens), ...dropped, ...cut, ...warned };
}

/** `live=0, retained=1500, disk=0, evaluated=23`, then where it diverged, texts percent-encoded. */
export function formatCacheHeader(cache: CacheReport | null, promptTokens: number): string {
  if (cache === null) return "queued";
  const { live, retained, disk, evaluated, diverged } = encodeCache(cache, promptTokens);
  const counts = `live=${live}, retained=${retained}, disk=${disk}, evaluated=${evaluated}`;
  if (diverged === undefined) return counts;
  return `${counts}, diverged=${diverged.token}; old="${encodeExcerpt(diverged.old)}"; new="${encodeExcerpt(diverged.new)}"`;
}

/** The beginning of a text, whole characters of it. */
function encodeExcerpt(text: string): string {
  let encoded = "";
  for (const character of text.toWellFormed()) {
    const next = encodeURIComponent(character);
    if (encoded.length + next.length > EXCERPT_CHARS_MAX) break;
    encoded += next;
  }
  return encoded;
}
