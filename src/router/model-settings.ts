// What a model's own file means for its requests: what they get that don't say it themselves, and what it takes from the
// model. Pure; what the file means for the engine is decided where that is started.

import type { ModelEntry } from "../models/entry.ts";
import { AppError } from "../protocol/errors.ts";
import type { EmbeddingInput, GenerationRequest } from "../protocol/generation.ts";
import type { Capabilities } from "../protocol/model-info.ts";
import type { CardSettings } from "./model-card.ts";

/** The request with the model's own defaults where it says nothing. */
export function fillDefaults(entry: ModelEntry, request: GenerationRequest): GenerationRequest {
  const { sampling, maxTokens } = entry.settings;
  return {
    ...request,
    sampling: { ...sampling, ...request.sampling },
    ...(maxTokens === undefined || request.maxTokens !== undefined ? {} : { maxTokens }),
  };
}

/** Throws `not_supported` where the model's file takes what is asked for. */
export function assertAllowed(entry: ModelEntry, wanted: keyof Capabilities): void {
  if (entry.described?.taken.includes(wanted) !== true) return;
  const message = `${entry.id} is not for this: its model file takes \`${wanted}\` from it`;
  throw new AppError({ code: "not_supported", message, hint: "Ask for another model.", param: "model" });
}

/** A pair of texts to rank. */
export function isRankInput(input: EmbeddingInput): boolean {
  return typeof input === "object" && !Array.isArray(input);
}

/** How long its engine stays without requests; null: for ever. */
export function idleMsOf(
  { pinned, settings }: ModelEntry,
  serverMs: number,
  asked: { idleMs: number | null } | null = null,
): number | null {
  if (!pinned && asked !== null) return asked.idleMs;
  const { sleepAfterSeconds } = settings;
  const ms = sleepAfterSeconds === undefined ? serverMs : sleepAfterSeconds * 1000;
  return pinned || ms === 0 ? null : ms;
}

/** The settings by which listings tell what a load will bring. */
export function settingsOf({ settings: { engine } }: ModelEntry, server: CardSettings): CardSettings {
  const { pooling, ...rest } = server;
  const own = engine.pooling ?? pooling ?? "auto";
  return { ...rest, contextLength: engine.ctx ?? server.contextLength, ...(own === "auto" ? {} : { pooling: own }) };
}
