// The LoRA adapters of the default model as the server sees them: their list, and the scales that requests get which
// name none. The scales outlive an engine; which adapters are really loaded is the engine's business.

import { readScales } from "../../models/adapter.ts";
import type { ModelEntry } from "../../models/entry.ts";
import type { GenerationRequest } from "../../protocol/generation.ts";
import { type LoraAdapter, type LoraScale, resolveScales } from "../../protocol/lora.ts";

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

  /** The request with the scales that it runs with: of its own, the server's of this moment, or those of the model's file. */
  apply({ path, settings }: Pick<ModelEntry, "path" | "settings">, request: GenerationRequest): GenerationRequest {
    if ((request.lora?.length ?? 0) > 0) return request;
    const isOurs = path === this.#modelPath && this.#adapters.length > 0;
    const scales = isOurs ? this.#adapters : readScales(settings.engine.lora ?? []);
    return scales.length === 0 ? request : { ...request, lora: scales.map(({ id, scale }) => ({ id, scale })) };
  }
}
