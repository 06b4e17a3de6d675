// The sampling state of one sequence.

import type { Pointer } from "bun:ffi";
import { Handle } from "./handle.ts";
import { toCText } from "./library.ts";
import type { NativeModel } from "./model.ts";
import type { NativePrompt } from "./prompt.ts";

export class NativeSampler extends Handle {
  private constructor(model: NativeModel, pointer: Pointer) {
    super("sampler", pointer, (sampler) => model.library.calls.mlo_sampler_free(sampler));
  }

  /** `settings` is a SamplingParams; the prompt gives the grammar of its tools or schema. */
  static make(model: NativeModel, settings: object, prompt: NativePrompt | null): NativeSampler {
    const { library } = model;
    const text = toCText(JSON.stringify(settings));
    const made = library.calls.mlo_sampler_new(model.pointer, text, prompt === null ? null : prompt.pointer);
    return new NativeSampler(model, library.own("mlo_sampler_new", made));
  }
}
