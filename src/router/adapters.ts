// The LoRA adapters of the default model as the server sees them: their list, and the scales that requests get which
// name none. The scales outlive an engine; which adapters are really loaded is the engine's business.

import type { GenerationRequest } from "../protocol/generation.ts";
import { type LoraAdapter, type LoraScale, resolveScales } from "../protocol/lora.ts";

export interface AdapterOptions {
  /** The model that they were made for. */
  modelPath: string;
  adapters: readonly LoraAdapter[];
}

export class Adapters {
  readonly #modelPath: string;
  #adapters: readonly LoraAdapter[];

  constructor({ modelPath, adapters }: AdapterOptions) {
    this.#modelPath = modelPath;
    this.#adapters = adapters;
  }

  list(): readonly LoraAdapter[] {
    return this.#adapters;
  }

  /** All scales anew: an adapter that is not named has 0. Throws `invalid_request`, and then changes nothing. */
  setScales(scales: readonly LoraScale[]): void {
    const resolved = resolveScales(scales, this.#adapters.length);
    this.#adapters = this.#adapters.map((adapter) => ({ ...adapter, scale: resolved[adapter.id] ?? 0 }));
  }

  /** The request with the scales that it runs with: of its own, or the server's of this moment. */
  apply(modelPath: string, request: GenerationRequest): GenerationRequest {
    if ((request.lora?.length ?? 0) > 0 || modelPath !== this.#modelPath || this.#adapters.length === 0) return request;
    return { ...request, lora: this.#adapters.map(({ id, scale }) => ({ id, scale })) };
  }
}
