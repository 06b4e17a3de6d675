// An Inference whose models and events are scripted by the test; it records what it was asked.

import { join } from "node:path";
import { NO_CAPABILITIES } from "../../src/models/capability.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type {
  CacheReport,
  EmbeddingInput,
  EmbeddingResult,
  GenerationEvent,
  GenerationRequest,
} from "../../src/protocol/generation.ts";
import type { LoraAdapter, LoraScale } from "../../src/protocol/lora.ts";
import type { TextAnswer, TextQuestion } from "../../src/protocol/text-question.ts";
import type {
  BackendInfo,
  CacheOverview,
  Generation,
  Health,
  Inference,
  ModelCard,
} from "../../src/router/inference.ts";
import type { LoadOptions, MemoryOverview, Unloaded, Unloading } from "../../src/router/residency/loading.ts";

export type Script = (request: GenerationRequest, signal: AbortSignal) => AsyncIterable<GenerationEvent>;

export const SOME_CACHE: CacheReport = { live: 0, retained: 2, disk: 0 };

export const DONE_EVENT: GenerationEvent = {
  type: "done",
  finishReason: "stop",
  usage: { promptTokens: 7, completionTokens: 3, cachedTokens: 2 },
  cache: SOME_CACHE,
  timings: { queuedMs: 1, promptMs: 10, decodeMs: 20 },
};

/** A file that is there: routes that read models' headers find it. */
export const DEMO_PATH = join(import.meta.dir, "../../src/demo/demo.gguf");

export function makeCard(changes: Partial<ModelCard> = {}): ModelCard {
  return {
    id: "demo",
    aliases: [],
    givenNames: [],
    path: DEMO_PATH,
    engineKey: DEMO_PATH,
    displayName: null,
    place: "built-in",
    described: null,
    pinned: false,
    created: 1_700_000_000,
    sizeBytes: 1_300_000,
    architecture: "llama",
    quantization: "F16",
    companions: [],
    parameterCount: 1_200_000,
    trainedContextLength: 320,
    contextLength: 320,
    capabilities: { ...NO_CAPABILITIES, chat: true, completion: true, embedding: true },
    embeddingPooling: "last",
    ownPooling: null,
    poolingIsSet: false,
    state: "unloaded",
    conversion: null,
    sleepsInMs: null,
    error: null,
    demo: true,
    isDefault: true,
    backend: null,
    info: null,
    ...changes,
  };
}

/** A script that gives these events, one microtask apart. */
export function playEvents(...events: GenerationEvent[]): Script {
  return async function* () {
    for (const event of events) yield event;
  };
}

/** A script that speaks these pieces of text and is done. */
export function playText(...pieces: string[]): Script {
  const deltas = pieces.map((text): GenerationEvent => ({ type: "delta", text }));
  return playEvents({ type: "started", promptTokens: 7, cache: SOME_CACHE }, ...deltas, DONE_EVENT);
}

export class FakeInference implements Inference {
  cards: ModelCard[] = [makeCard()];
  script: Script = playText("Hel", "lo");
  /** What is known of the cache when the prompt is accepted. */
  cacheAtStart: CacheReport | null = SOME_CACHE;
  cacheNow: CacheOverview = { entries: [], models: [] };
  /** Thrown by `generate` and `embed` instead of an answer. */
  refusal: Error | null = null;
  healthNow: Health = {
    status: "healthy",
    troubles: [],
    backends: { llamacpp: { available: true, ready: true, details: "engine can be started" } },
  };
  adapters: LoraAdapter[] = [];
  scaleCalls: (readonly LoraScale[])[] = [];
  generateCalls: { model: string | undefined; request: GenerationRequest; signal: AbortSignal }[] = [];
  loadCalls: (string | undefined)[] = [];
  loadOptions: (LoadOptions | undefined)[] = [];
  unloadCalls: string[] = [];
  /** What an unload comes to, when it is not `freed` at once. */
  unloaded: Promise<Unloaded> | null = null;
  freed: Unloaded["freed"] = {
    hostBytes: 1000,
    mappedBytes: 500,
    available: { beforeBytes: 100, afterBytes: 1000 },
    devices: [{ id: "cuda:0", freedBytes: null, by: "difference" }],
    unknown: ["cuda:0 does not tell its memory"],
  };
  statusNow: MemoryOverview = { pools: [], swaps: 0, models: [] };
  keepCalls: [id: string, idleMs: number | null][] = [];
  aliasCalls: [model: string, alias: string][] = [];
  removeCalls: string[] = [];
  renameCalls: [model: string, name: string][] = [];
  /** What questions about texts are answered with. */
  textAnswer: (question: TextQuestion) => TextAnswer = answerByLetters;
  tellCalls: { model: string | undefined; question: TextQuestion; signal: AbortSignal }[] = [];
  embedCalls: { model: string | undefined; inputs: EmbeddingInput[]; signal: AbortSignal }[] = [];

  listModels(): ModelCard[] {
    return this.cards;
  }

  resolveModel(name: string | undefined): ModelCard {
    const wanted = this.cards.find((card) =>
      name === undefined || name === "default" || name === "auto-select"
        ? card.isDefault
        : card.id === name || card.aliases.includes(name),
    );
    if (wanted === undefined) {
      throw new AppError({ code: "model_not_found", message: `there is no model ${name}`, param: "model" });
    }
    return wanted;
  }

  async generate(model: string | undefined, request: GenerationRequest, signal: AbortSignal): Promise<Generation> {
    this.generateCalls.push({ model, request, signal });
    if (this.refusal !== null) throw this.refusal;
    return {
      model: this.resolveModel(model),
      promptTokens: 7,
      cache: this.cacheAtStart,
      events: this.script(request, signal),
    };
  }

  async embed(
    model: string | undefined,
    inputs: EmbeddingInput[],
    signal: AbortSignal,
  ): Promise<EmbeddingResult & { model: ModelCard }> {
    this.embedCalls.push({ model, inputs, signal });
    if (this.refusal !== null) throw this.refusal;
    const vectors = inputs.map((_, index) => Float32Array.of(index + 0.5, -0.25, 0.125));
    return { model: this.resolveModel(model), vectors, dimensions: 3, promptTokens: 2 * inputs.length };
  }

  async load(model: string | undefined, _signal: AbortSignal, options?: LoadOptions): Promise<ModelCard> {
    this.loadCalls.push(model);
    this.loadOptions.push(options);
    if (this.refusal !== null) throw this.refusal;
    return this.resolveModel(model);
  }

  unload(model: string): Unloading {
    const card = this.resolveModel(model);
    if (this.refusal !== null) throw this.refusal;
    this.unloadCalls.push(model);
    return {
      loadsGivenUp: 1,
      requestsAhead: 2,
      ended: this.unloaded ?? Promise.resolve({ model: card, freed: this.freed }),
    };
  }

  async status(): Promise<MemoryOverview> {
    return this.statusNow;
  }

  keepFor({ id }: Pick<ModelCard, "id">, idleMs: number | null): void {
    this.keepCalls.push([id, idleMs]);
  }

  addAlias(model: string, alias: string): void {
    this.resolveModel(model);
    if (this.refusal !== null) throw this.refusal;
    this.aliasCalls.push([model, alias]);
  }

  remove(name: string): "files" {
    this.resolveModel(name);
    if (this.refusal !== null) throw this.refusal;
    this.removeCalls.push(name);
    return "files";
  }

  rename(model: string, name: string): string {
    this.resolveModel(model);
    if (this.refusal !== null) throw this.refusal;
    this.renameCalls.push([model, name]);
    return name;
  }

  pin(model: string, pinned: boolean): ModelCard {
    const card = this.resolveModel(model);
    if (this.refusal !== null) throw this.refusal;
    card.pinned = pinned;
    return card;
  }

  async tell(model: string | undefined, question: TextQuestion, signal: AbortSignal): Promise<TextAnswer> {
    this.tellCalls.push({ model, question, signal });
    if (this.refusal !== null) throw this.refusal;
    return this.textAnswer(question);
  }

  health(): Health {
    return this.healthNow;
  }

  async backendInfo(): Promise<BackendInfo> {
    return {
      version: "0.1.0",
      llamaCpp: { version: "0.5.0", commit: "de3ff81" },
      plugins: ["libggml-cpu-haswell.so"],
      skippedPlugins: [{ file: "libggml-cpu-sapphirerapids.so", reason: "self-test died with SIGILL" }],
      engines: [],
    };
  }

  listAdapters(): readonly LoraAdapter[] {
    return this.adapters;
  }

  setAdapterScales(scales: readonly LoraScale[]): void {
    if (this.refusal !== null) throw this.refusal;
    this.scaleCalls.push(scales);
  }

  async cache(): Promise<CacheOverview> {
    return this.cacheNow;
  }

  get lastRequest(): GenerationRequest {
    const call = this.generateCalls.at(-1);
    if (call === undefined) throw new Error("generate was not called");
    return call.request;
  }
}

/** A token is a letter's code; a chat is its contents, a line each. */
function answerByLetters(question: TextQuestion): TextAnswer {
  const encoder = new TextEncoder();
  switch (question.ask) {
    case "tokens": {
      const tokens = question.content.flatMap((piece) =>
        typeof piece === "number" ? [piece] : [...encoder.encode(piece)],
      );
      const pieces = question.withPieces ? tokens.map((token) => Uint8Array.of(token)) : null;
      return { kind: "tokens", tokens: Int32Array.from(tokens), pieces };
    }
    case "text":
      return { kind: "text", text: Uint8Array.from(question.tokens) };
    case "prompt":
      return { kind: "text", text: encoder.encode(question.prompt.messages.map(({ content }) => content).join("\n")) };
  }
}
