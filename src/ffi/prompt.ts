// A prompt as tokens, with what shapes its answer.

import type { Pointer } from "bun:ffi";
import { Handle } from "./handle.ts";
import { NativeJob } from "./job.ts";
import { type NativeLibrary, toCText } from "./library.ts";
import type { NativeModel } from "./model.ts";
import { NativeSampler } from "./sampler.ts";

export interface PromptFacts {
  /** Stop strings of the template's format. */
  stops: string[];
  /** Texts of control tokens that the parser must see. */
  preserved: string[];
  /** True when the answer may hold reasoning or tool calls. */
  needsParser: boolean;
  /** Leading tokens that are system text and tools; 0 where the template does not tell. */
  preamble: number;
  /** Positions where the last messages begin, the one to be generated included; empty where the template does not tell. */
  turns: number[];
  /** The rendered prompt; empty when it came as tokens. */
  text: string;
}

export class NativePrompt extends Handle {
  readonly #library: NativeLibrary;

  private constructor(library: NativeLibrary, pointer: Pointer) {
    super("prompt", pointer, (prompt) => library.calls.mlo_prompt_free(prompt));
    this.#library = library;
  }

  /**
   * `request` is a Prompt of src/protocol/generation.ts, or `{kind:"embedding",text}`. `sampling` is a SamplingParams
   * to make the sampler along with it, beside the caller's thread; null = none.
   */
  static read(model: NativeModel, request: object, sampling: object | null = null): NativeJob<NativePrompt> {
    const { library } = model;
    const call = "mlo_prompt_start";
    const job = library.calls.mlo_prompt_start(
      model.pointer,
      toCText(JSON.stringify(request)),
      sampling === null ? null : toCText(JSON.stringify(sampling)),
    );
    return new NativeJob(library, call, library.own(call, job), (done) => {
      return new NativePrompt(library, library.own("mlo_prompt_take", library.calls.mlo_prompt_take(done)));
    });
  }

  /** The sampler that was made along with it; once. */
  takeSampler(): NativeSampler | null {
    const taken = this.#library.calls.mlo_prompt_take_sampler(this.pointer);
    return taken === null ? null : NativeSampler.adopt(this.#library, taken);
  }

  tokens(): Int32Array {
    const { calls } = this.#library;
    const tokens = new Int32Array(calls.mlo_prompt_length(this.pointer));
    if (tokens.length > 0) calls.mlo_prompt_tokens(this.pointer, tokens);
    return tokens;
  }

  facts(): PromptFacts {
    return this.#library.takeJson("mlo_prompt_info", this.#library.calls.mlo_prompt_info(this.pointer));
  }
}
