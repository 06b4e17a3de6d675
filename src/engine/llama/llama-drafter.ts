// Guessing with a smaller model over llama.cpp: its weights, its context, and the check that both models mean the same
// by a token. Mechanism only; when to guess is draft-guesses.ts' business.

import { basename } from "node:path";
import type { ContextMemory, NativeContext } from "../../ffi/context.ts";
import { NativeDrafter } from "../../ffi/drafter.ts";
import type { NativeModel } from "../../ffi/model.ts";
import { NativeError } from "../../ffi/native-error.ts";
import { AppError } from "../../protocol/errors.ts";
import type { DraftSettings } from "../../protocol/messages.ts";
import { type DraftInfo, type MemoryKind, readTrainedLength } from "../../protocol/model-info.ts";
import type { Drafter, DraftPart } from "../guess/drafter.ts";

/** Under this probability a guess is more often wrong than its row is worth. */
const PROBABILITY_MIN = 0.75;

export class LlamaDrafter implements Drafter {
  readonly name = "The draft model";
  readonly rows = null;
  readonly slots: number;
  readonly batchSize: number;
  readonly lengthMax: number;
  readonly tokensMax: number;
  readonly info: DraftInfo;
  readonly memory: ContextMemory;
  readonly #model: NativeModel;
  readonly #context: NativeContext;
  readonly #native: NativeDrafter;

  private constructor(model: NativeModel, context: NativeContext, native: NativeDrafter, tokensMax: number) {
    const { description, sizeBytes, trainedContextLength } = model.facts();
    const { contextLength, sequences, microBatchSize } = context.facts();
    this.slots = sequences;
    this.batchSize = microBatchSize;
    this.lengthMax = Math.min(contextLength, readTrainedLength(trainedContextLength) ?? contextLength);
    this.tokensMax = tokensMax;
    this.info = { description, sizeBytes, contextLength, contextBytes: context.bytes() };
    this.memory = context.memory();
    this.#model = model;
    this.#context = context;
    this.#native = native;
  }

  /** Takes over the model and the context, unless it throws: `format_unsupported`, with what does not fit. */
  static make(
    target: NativeModel,
    model: NativeModel,
    context: NativeContext,
    { modelPath, tokensMax, probabilityMin = PROBABILITY_MIN }: DraftSettings,
  ): LlamaDrafter {
    checkMemory(context.facts().memory, `${basename(modelPath)}, as a draft model,`);
    try {
      return new LlamaDrafter(model, context, NativeDrafter.make(target, context, probabilityMin), tokensMax);
    } catch (thrown) {
      if (!(thrown instanceof NativeError)) throw thrown;
      throw misfit(`${basename(modelPath)} can't guess for this model: ${thrown.message}`, thrown);
    }
  }

  show(slot: number, tokens: Int32Array, rows: number): number {
    return this.#native.show(slot, tokens, rows);
  }

  guess(parts: readonly DraftPart[]): Int32Array[] {
    return this.#native.guess(parts);
  }

  [Symbol.dispose](): void {
    this.#native[Symbol.dispose]();
    this.#context[Symbol.dispose]();
    this.#model[Symbol.dispose]();
  }
}

/** Throws unless rows of a guess can be taken back. */
export function checkMemory(memory: MemoryKind, who: string): void {
  if (memory === "plain" || memory === "sliding") return;
  throw misfit(`${who} can't take back a wrong guess: its memory is ${memory}.`);
}

function misfit(message: string, cause?: Error): AppError {
  const hint = "Give --draft-model a smaller model of the same family, or leave it out.";
  return new AppError({ code: "format_unsupported", message, hint }, { cause });
}
