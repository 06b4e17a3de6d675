// The sampling state of one sequence.

import type { Pointer } from "bun:ffi";
import { Handle } from "./handle.ts";
import { type NativeLibrary, toCText } from "./library.ts";
import type { NativeModel } from "./model.ts";

export class NativeSampler extends Handle {
  private constructor(library: NativeLibrary, pointer: Pointer) {
    super("sampler", pointer, (sampler) => library.calls.mlo_sampler_free(sampler));
  }

  /** Takes over a sampler that a job made. */
  static adopt(library: NativeLibrary, pointer: Pointer | bigint): NativeSampler {
    return new NativeSampler(library, library.own("mlo_prompt_take_sampler", pointer));
  }

  /** `settings` is a SamplingParams; `prompt` is a NativePrompt, which gives the grammar of its tools or schema. */
  static make(model: NativeModel, settings: object, prompt: Handle | null): NativeSampler {
    const { library } = model;
    const text = toCText(JSON.stringify(settings));
    const made = library.calls.mlo_sampler_new(model.pointer, text, prompt === null ? null : prompt.pointer);
    return new NativeSampler(library, library.own("mlo_sampler_new", made));
  }
}
