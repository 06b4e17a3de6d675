// The settings that say how sequences guess ahead, and what they mean together for an engine. Reads no sources itself.

import { choiceOption, integerOption, pathOption } from "../lib/option.ts";
import { AppError } from "../protocol/errors.ts";
import type { DraftSettings, HeadSettings } from "../protocol/messages.ts";

const MODES = ["auto", "lookup", "draft", "mtp", "off"] as const;

export const GUESS_OPTIONS = {
  speculate: choiceOption(
    { name: "speculate", placeholder: "HOW", description: "What guesses tokens ahead" },
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
  draftMax: integerOption(
    { name: "draft_max", placeholder: "N", description: "Longest guess of it, or of MTP layers" },
    1,
    64,
    16,
  ),
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
  /** With a model's own prediction layers, where no draft model guesses for it. */
  head: HeadSettings | null;
}

/** Throws `invalid_request` when a draft model is to guess and there is none, or one is there that is not to. */
export function describeGuessing({ speculate, draftModel, draftMax }: GuessConfig): Guessing {
  if (speculate === "mtp" && draftModel !== null) {
    const message = "--speculate mtp guesses with the model's own layers, so --draft-model has no use";
    throw new AppError({ code: "invalid_request", message, hint: "Leave one of them out." });
  }
  if (speculate === "draft" && draftModel === null) {
    const message = "--speculate draft needs --draft-model";
    throw new AppError({ code: "invalid_request", message, hint: "Name the small model's GGUF file, or use auto." });
  }
  const drafts = speculate === "auto" || speculate === "draft";
  const predicts = speculate === "auto" || speculate === "mtp";
  return {
    speculates: speculate === "auto" || speculate === "lookup",
    draft: drafts && draftModel !== null ? { modelPath: draftModel, tokensMax: draftMax } : null,
    head: predicts ? { tokensMax: draftMax, required: speculate === "mtp" } : null,
  };
}

/**
 * What of it is for one model. A draft model is of one family, the default model's, and what is asked for by name has to be
 * there in that model alone. Layers that could not guess are not loaded, unless they have to be: the engine then says why.
 */
export function guessingFor(
  { draft, head }: Pick<Guessing, "draft" | "head">,
  { isDefault, canPredict }: { isDefault: boolean; canPredict: boolean },
): Pick<Guessing, "draft" | "head"> {
  const required = head?.required === true && isDefault;
  return {
    draft: isDefault ? draft : null,
    head: head !== null && (canPredict || required) ? { ...head, required } : null,
  };
}
