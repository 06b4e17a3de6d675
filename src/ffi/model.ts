// A loaded model: what it says of itself, and its vocabulary.

import type { Pointer } from "bun:ffi";
import { Handle } from "./handle.ts";
import { NativeJob } from "./job.ts";
import { type NativeLibrary, toCText } from "./library.ts";

export interface ModelFacts {
  architecture: string;
  description: string;
  parameterCount: number;
  sizeBytes: number;
  vocabularySize: number;
  embeddingLength: number;
  /** As llama.cpp says it: 0 and less are no lengths. */
  trainedContextLength: number;
  /** Tokens of the attention window; 0 = none. */
  slidingWindow: number;
  /** llama.cpp's number: -1 unspecified, 0 none, 1 mean, 2 cls, 3 last, 4 rank. */
  pooling: number;
  /** It has what makes one score of a pooled vector. */
  hasRankHead: boolean;
  causal: boolean;
  hasDecoder: boolean;
  hasEncoder: boolean;
  layers: number;
  /** Of a head's keys and values: each length once. */
  keyLengths: number[];
  valueLengths: number[];
  /** Flash attention can be had. */
  canFuseAttention: boolean;
  isRecurrent: boolean;
  hasChatTemplate: boolean;
  argumentFormat: "json" | "text" | "nested" | "loose" | "none";
  devices: string[];
  /** Prediction layers (MTP) that the file says it has. */
  headLayers: number;
  headIsLoaded: boolean;
  /** Why they can't guess, loaded or not; empty when they can. */
  headProblem: string;
}

export interface ModelLoadSettings {
  gpuLayers: number;
  /** With its prediction layers. */
  head?: boolean;
  /** Jinja, in the place of the model's own. */
  chatTemplate?: string;
  /** Of the layers on devices; sums up to 1. */
  deviceShares?: readonly number[];
  /** So many of the first layers keep their experts in host memory. */
  hostExpertLayers?: number;
  /** No weights are read, and contexts can't decode: for what they would take. */
  layOut?: boolean;
}

/** Longest token text; the longest known vocabularies stay under 1,024 bytes. */
const TOKEN_BYTES = 4096;

export class NativeModel extends Handle {
  readonly library: NativeLibrary;
  readonly #buffer = new Uint8Array(TOKEN_BYTES);

  private constructor(library: NativeLibrary, pointer: Pointer) {
    super("model", pointer, (model) => library.calls.mlo_model_free(model));
    this.library = library;
  }

  static load(library: NativeLibrary, path: string, settings: ModelLoadSettings): NativeJob<NativeModel> {
    const call = "mlo_model_load_start";
    const job = library.calls.mlo_model_load_start(toCText(path), toCText(JSON.stringify(settings)));
    return new NativeJob(library, call, library.own(call, job), (done) => {
      return new NativeModel(library, library.own("mlo_model_take", library.calls.mlo_model_take(done)));
    });
  }

  /** Loads a LoRA adapter, which is the model's from then on; before any context is made. Returns its number. */
  loadAdapter(path: string): number {
    return this.library.check("mlo_adapter_load", this.library.calls.mlo_adapter_load(this.pointer, toCText(path)));
  }

  facts(): ModelFacts {
    return this.library.takeJson("mlo_model_info", this.library.calls.mlo_model_info(this.pointer));
  }

  /** A token's bytes, a copy: often a part of a UTF-8 character. Control tokens are empty unless `special`. */
  tokenBytes(token: number, special: boolean): Uint8Array {
    const { calls } = this.library;
    const length = calls.mlo_token_text(this.pointer, token, special ? 1 : 0, this.#buffer, TOKEN_BYTES);
    this.library.check("mlo_token_text", length);
    return this.#buffer.slice(0, length);
  }

  /** The token that a text is; null when it is several. */
  tokenOf(text: string): number | null {
    const token = this.library.calls.mlo_token_of(this.pointer, toCText(text));
    return token < 0 ? null : token;
  }

  isEnd(token: number): boolean {
    return this.library.calls.mlo_token_is_end(this.pointer, token) === 1;
  }
}
