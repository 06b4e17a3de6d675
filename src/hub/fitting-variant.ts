// Which of a repository's models is taken when none was named: by size first, which costs nothing, then confirmed by what
// its own header says, and the next smaller one where that says no. The decision is pure; the asking is at the end.

import { AppError } from "../protocol/errors.ts";
import { type Choice, chooseVariant, rankVariants, type Variant } from "./variant.ts";

/** By its headers: whether it fits with all that it takes besides its weights; null: they do not tell. */
export type ConfirmVariant = (variant: Variant) => Promise<boolean | null>;

export type NextStep = { kind: "ask"; variant: Variant } | { kind: "take"; variant: Variant } | { kind: "none" };

/** Headers have megabytes. After so many the smallest one decides. */
const ASKED_MAX = 4;

/** `ranked`: the best first; `told`: of the first ones, what their headers said. */
export function chooseStep(ranked: readonly Variant[], told: readonly (boolean | null)[]): NextStep {
  const asked = ranked.length <= ASKED_MAX ? ranked : [...ranked.slice(0, ASKED_MAX - 1), ...ranked.slice(-1)];
  const at = told.findIndex((fits) => fits !== false);
  const variant = asked[at === -1 ? told.length : at];
  if (variant === undefined) return { kind: "none" };
  return { kind: at === -1 ? "ask" : "take", variant };
}

export interface FittingVariant {
  variant: Variant;
  /** Of those that would fit by their size and do not by their headers. */
  passedOver: string[];
}

/** Throws `model_not_found` or `out_of_memory` with what there is. `confirm` null: the size alone decides. */
export async function chooseFitting(
  variants: readonly Variant[],
  choice: Choice,
  confirm: ConfirmVariant | null,
): Promise<FittingVariant> {
  const first = chooseVariant(variants, choice);
  if (choice.wanted !== null || confirm === null) return { variant: first, passedOver: [] };
  const ranked = rankVariants(variants, choice.largestBytes);
  const told: (boolean | null)[] = [];
  const passedOver: string[] = [];
  for (;;) {
    const step = chooseStep(ranked, told);
    if (step.kind === "take") return { variant: step.variant, passedOver };
    if (step.kind === "none") throw nothingFits(choice.repo, passedOver);
    const fits = await confirm(step.variant);
    told.push(fits);
    if (fits === false) passedOver.push(step.variant.tag);
  }
}

function nothingFits(repo: string, passedOver: readonly string[]): AppError {
  return new AppError({
    code: "out_of_memory",
    message: `none of the models of ${repo} fits into memory with its context: not even ${passedOver.at(-1)}`,
    hint: `Choose a smaller model, or name one in spite of it; ml-offload show hf:${repo}:${passedOver.at(-1)} tells what it takes.`,
    param: "model",
  });
}
