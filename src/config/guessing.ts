// The settings that say how sequences guess ahead, and what they mean together for an engine. Reads no sources itself.

import { choiceOption, integerOption, pathOption } from "../lib/option.ts";
import { AppError } from "../protocol/errors.ts";
import type { DraftSettings } from "../protocol/messages.ts";

const MODES = ["auto", "lookup", "draft", "off"] as const;

export const GUESS_OPTIONS = {
  speculate: choiceOption(
    {
      name: "speculate",
      placeholder: "HOW",
      description: "Guess ahead from the text, a draft model, or both",
    },
    MODES,
    "auto",
    // The setting was a switch once.
    { on: "auto", true: "auto", false: "off" },
  ),
  draftModel: pathOption({
    name: "draft_model",
    placeholder: "FILE",
    description: "Small GGUF of the same family that guesses for the default model",
  }),
  // Longer guesses are never right often enough for their rows to pay.
  draftMax: integerOption({ name: "draft_max", placeholder: "N", description: "Longest guess of it" }, 1, 64, 16),
};

export interface GuessConfig {
  readonly speculate: (typeof MODES)[number];
  readonly draftModel: string | null;
  readonly draftMax: number;
}

export interface Guessing {
  /** From a sequence's own text. */
  speculates: boolean;
  draft: DraftSettings | null;
}

/** Throws `invalid_request` when a draft model is to guess and there is none. */
export function describeGuessing({ speculate, draftModel, draftMax }: GuessConfig): Guessing {
  if (speculate === "draft" && draftModel === null) {
    const message = "--speculate draft needs --draft-model";
    throw new AppError({ code: "invalid_request", message, hint: "Name the small model's GGUF file, or use auto." });
  }
  const drafts = speculate === "auto" || speculate === "draft";
  return {
    speculates: speculate === "auto" || speculate === "lookup",
    draft: drafts && draftModel !== null ? { modelPath: draftModel, tokensMax: draftMax } : null,
  };
}
