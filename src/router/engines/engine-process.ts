// One engine process, from the spawn to the exit: the load's handshake, its time limit, and how it ends.

import { explainOomKill, type OomKills, readOomKills } from "../../hardware/oom-kills.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { BackendUse } from "../../protocol/backends.ts";
import { AppError } from "../../protocol/errors.ts";
import { type EngineSettings, type Frame, type FromEngine, PROTOCOL_VERSION } from "../../protocol/messages.ts";
import type { LoadedModelInfo } from "../../protocol/model-info.ts";
import { PromptSender } from "../../protocol/prompt-reuse.ts";
import { type Child, type ExitReason, spawnChild } from "../children/child.ts";
import { EngineClient } from "./engine-client.ts";

export interface EngineOptions {
  libraryPath: string;
  settings: EngineSettings;
  /** Where it computes; told in cards and health. */
  backend: BackendUse;
  /** How the model is called in messages. */
  modelId: string;
  loadTimeoutMs: number;
  /** What is less than was asked for, for the engine's info. */
  steppedDown?: readonly string[];
  /** Ends the load. */
  signal: AbortSignal;
  log: Logger;
  clock: Clock;
  /** How often the kernel ended processes for their memory; tests have their own. */
  readOomKills?: () => OomKills;
}

/** How a start ended without an engine: the model was refused, or the process died. */
export class StartFailure extends Error {
  constructor(
    readonly error: AppError,
    readonly died: boolean,
  ) {
    super(error.message);
  }
}

/** An engine that is asked to stop may finish its step; then it is killed. */
const STOP_MS = 2_000;

export class EngineProcess {
  readonly client: EngineClient;
  readonly info: LoadedModelInfo;
  readonly backend: BackendUse;
  readonly #child: Child;
  readonly #clock: Clock;
  /** Resolves when the process is gone. */
  readonly exited: Promise<ExitReason>;
  #stopping = false;

  private constructor(
    child: Child,
    client: EngineClient,
    info: LoadedModelInfo,
    exited: Promise<ExitReason>,
    { backend, clock }: Pick<EngineOptions, "backend" | "clock">,
  ) {
    this.#child = child;
    this.client = client;
    this.info = info;
    this.backend = backend;
    this.exited = exited;
    this.#clock = clock;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** True once `stop` was called: its exit is then no death. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** Spawns, loads, and resolves when the engine is ready. Throws StartFailure. */
  static async start(options: EngineOptions): Promise<EngineProcess> {
    const { settings, modelId, log, clock, readOomKills: readKills = readOomKills } = options;
    const loaded = Promise.withResolvers<LoadedModelInfo>();
    const exited = Promise.withResolvers<ExitReason>();
    let client: EngineClient | null = null;
    const killsBefore = readKills();
    const onFrame = (frame: Frame<FromEngine>): void => {
      const { message } = frame;
      if (message.type === "ready") loaded.resolve(message.info);
      else if (message.type === "failed") loaded.reject(new StartFailure(new AppError(message.error), false));
      else client?.receive(frame);
    };
    const onExit = (reason: ExitReason): void => {
      loaded.reject(loadFailure(modelId, reason, () => explainOomKill(killsBefore, readKills())));
      client?.fail(crashError(modelId, reason));
      exited.resolve(reason);
    };
    const args = ["--log-level", "debug", "--log-format", "json"];
    const child = await spawnChild(options.libraryPath, args, log.child({ engine: modelId }), { onFrame, onExit });
    const sender = new PromptSender((message) => child.send(message));
    client = new EngineClient((message) => sender.send(message));
    child.send({ type: "load", version: PROTOCOL_VERSION, settings });
    const cancelTimer = clock.after(options.loadTimeoutMs, () => {
      const message = `${modelId} did not load within ${options.loadTimeoutMs / 1000} s.`;
      loaded.reject(new StartFailure(new AppError({ code: "timeout", message, hint: "Raise --load-timeout." }), false));
      child.kill("SIGKILL");
    });
    const abort = (): void => {
      const { reason } = options.signal;
      const message = `The load of ${modelId} was ended because the server stops.`;
      const why = reason instanceof AppError ? reason : new AppError({ code: "overloaded", message });
      loaded.reject(new StartFailure(why, false));
      child.kill("SIGKILL");
    };
    if (options.signal.aborted) abort();
    options.signal.addEventListener("abort", abort, { once: true });
    try {
      const { steppedDown = [] } = options;
      const info = { ...(await loaded.promise), ...(steppedDown.length === 0 ? {} : { steppedDown }) };
      return new EngineProcess(child, client, info, exited.promise, options);
    } catch (thrown) {
      // Who is loaded next counts on its memory.
      const cancelKill = clock.after(STOP_MS, () => child.kill("SIGKILL"));
      await exited.promise;
      cancelKill();
      throw thrown;
    } finally {
      cancelTimer();
      options.signal.removeEventListener("abort", abort);
    }
  }

  /** Asks the engine to end, and kills it when it does not. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#child.send({ type: "shutdown" });
    const cancelTimer = this.#clock.after(STOP_MS, () => this.#child.kill("SIGKILL"));
    await this.exited;
    cancelTimer();
  }
}

/** llama.cpp asserts some of what a file says, and an assertion ends the process: it is the file's fault then. */
const GAVE_UP = ["SIGABRT", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGTRAP", "SIGILL"];

/** The process ended before it was ready. `explainKill`: why the kernel ends processes just now; null: it does not. */
function loadFailure(modelId: string, reason: ExitReason, explainKill: () => string | null): StartFailure {
  const crash = crashError(modelId, reason);
  const shortage = reason.signal === "SIGKILL" ? explainKill() : null;
  if (shortage !== null) {
    const message = `The kernel ended the engine of ${modelId} while it loaded: ${shortage}.`;
    return new StartFailure(new AppError({ code: "out_of_memory", message }), true);
  }
  if (!GAVE_UP.includes(reason.signal ?? "")) return new StartFailure(crash, true);
  const message = `llama.cpp gave up on the file of ${modelId}. ${crash.message}`;
  return new StartFailure(new AppError({ code: "model_damaged", message }), false);
}

/** What a dead engine's requests are told: how it died, and its last words. */
export function crashError(modelId: string, reason: ExitReason): AppError {
  const how = reason.signal === null ? `ended with code ${reason.code}` : `was ended by ${reason.signal}`;
  const words = reason.lastLines.length === 0 ? "" : ` Its last words: ${reason.lastLines.slice(-3).join(" | ")}`;
  return new AppError({ code: "engine_crashed", message: `The engine of ${modelId} ${how}.${words}` });
}
