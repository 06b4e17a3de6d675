// Guessing with a model's own prediction layers (MTP) over llama.cpp: whether they can, and their context. Mechanism only;
// when to guess, and whose rows are kept for it, is draft-guesses.ts' business.

import type { ContextMemory, ContextSettings } from "../../ffi/context.ts";
import { NativeContext } from "../../ffi/context.ts";
import { NativeHead, type TakenRows } from "../../ffi/head.ts";
import type { ModelFacts, NativeModel } from "../../ffi/model.ts";
import { NativeError } from "../../ffi/native-error.ts";
import { AppError } from "../../protocol/errors.ts";
import type { EngineSettings, HeadSettings } from "../../protocol/messages.ts";
import type { HeadInfo } from "../../protocol/model-info.ts";
import type { Drafter, DraftPart, RowTaker } from "../guess/drafter.ts";

/** As for a draft model: under it a guess is more often wrong than its row is worth. */
const PROBABILITY_MIN = 0.75;

class LlamaHead implements Drafter, RowTaker {
  readonly name = "The model's own prediction layers";
  readonly slots: number;
  readonly batchSize: number;
  readonly lengthMax: number;
  readonly tokensMax: number;
  readonly rows: RowTaker = this;
  readonly contextBytes: number;
  readonly memory: ContextMemory;
  readonly #context: NativeContext;
  readonly #native: NativeHead;

  private constructor(context: NativeContext, native: NativeHead, tokensMax: number) {
    const { contextLength, sequences, microBatchSize } = context.facts();
    this.slots = sequences;
    this.batchSize = microBatchSize;
    this.lengthMax = contextLength;
    this.tokensMax = tokensMax;
    this.contextBytes = context.bytes();
    this.memory = context.memory();
    this.#context = context;
    this.#native = native;
  }

  /** Throws NativeError when its context can't be made. */
  static make(model: NativeModel, target: NativeContext, plan: ContextSettings, settings: HeadSettings): LlamaHead {
    const { tokensMax, probabilityMin = PROBABILITY_MIN } = settings;
    const context = NativeContext.make(model, { ...plan, head: true });
    try {
      return new LlamaHead(context, NativeHead.make(model, target, context, probabilityMin), tokensMax);
    } catch (thrown) {
      context[Symbol.dispose]();
      throw thrown;
    }
  }

  watch(on: boolean): void {
    this.#native.watch(on);
  }

  take(slot: number, before: Int32Array, taken: TakenRows): void {
    this.#native.take(slot, before, taken);
  }

  /** It reads nothing here: rows come with the model's steps alone. */
  show(slot: number, tokens: Int32Array): number {
    return this.#native.show(slot, tokens) ?? Number.POSITIVE_INFINITY;
  }

  guess(parts: readonly DraftPart[]): Int32Array[] {
    return this.#native.guess(parts);
  }

  [Symbol.dispose](): void {
    this.#native[Symbol.dispose]();
    this.#context[Symbol.dispose]();
  }
}

/** What a file's prediction layers are used for; `head` is null where they rest. */
export interface HeadChoice {
  head: LlamaHead | null;
  info: HeadInfo | null;
}

export interface HeadTarget {
  model: NativeModel;
  facts: ModelFacts;
  context: NativeContext;
  /** Of a context for guesses; null for a model that does not generate. */
  plan: ContextSettings | null;
}

/** Throws `format_unsupported` when the layers must guess and can't; else they rest, and the info says why. */
export function chooseHead(settings: EngineSettings, target: HeadTarget): HeadChoice {
  const { head: asked = null } = settings;
  const { headLayers: layers } = target.facts;
  const made = findObstacle(settings, target) ?? tryHead(target, target.plan, asked);
  if (made instanceof LlamaHead) return { head: made, info: { layers, rests: null, contextBytes: made.contextBytes } };
  if (asked?.required === true) {
    const message = `This model can't guess with prediction layers of its own: ${made}.`;
    throw new AppError({ code: "format_unsupported", message, hint: "Use --speculate auto, or another model." });
  }
  return { head: null, info: layers === 0 ? null : { layers, rests: made, contextBytes: 0 } };
}

function findObstacle(settings: EngineSettings, { facts, context }: HeadTarget): string | null {
  if (facts.headLayers === 0) return "the file has none";
  if (facts.headProblem !== "") return facts.headProblem;
  if (settings.draft !== null) return "a draft model guesses instead";
  if (settings.head && !facts.headIsLoaded) return "the file has no tensors of them";
  const { memory } = context.facts();
  return memory === "plain" || memory === "sliding" ? null : `a memory that is ${memory} can't take back a guess`;
}

function tryHead(
  { model, context }: HeadTarget,
  plan: ContextSettings | null,
  asked: HeadSettings | null,
): LlamaHead | string {
  if (asked === null) return "--speculate does not ask for them";
  if (plan === null) return "this model does not generate";
  try {
    return LlamaHead.make(model, context, plan, asked);
  } catch (thrown) {
    if (!(thrown instanceof NativeError)) throw thrown;
    return `llama.cpp can't make a context for them: ${thrown.message}`;
  }
}
