// The engine process: one thread that reads its socket, steps the engine, and writes what happened. It has no event
// loop: between two steps it looks at the socket, and when there is nothing to do it sleeps on it.

import { NativeLibrary } from "../ffi/library.ts";
import { dieWithParent } from "../ffi/socket.ts";
import { systemClock } from "../lib/clock.ts";
import { HeapSweeper } from "../lib/heap-sweeper.ts";
import type { Logger } from "../lib/log.ts";
import { AppError, toAppError } from "../protocol/errors.ts";
import { type EngineSettings, PROTOCOL_VERSION } from "../protocol/messages.ts";
import type { Backend } from "./backend.ts";
import { Channel } from "./channel.ts";
import { KvStore } from "./disk/kv-store.ts";
import { hashFile, keyOfModel } from "./disk/weights-key.ts";
import { Engine } from "./engine.ts";
import { answerJob } from "./jobs/jobs.ts";
import { loadBackend, startPlugins } from "./llama/load.ts";
import type { LoadHooks } from "./llama/open-model.ts";
import { automaticCheckpointBytes } from "./prefix/checkpoints.ts";

/** A job's end wakes the wait; this only bounds what a lost wake-up could cost. */
const WAIT_MS_MAX = 1000;

/**
 * Runs until the server closes the socket or says `shutdown`. Returns the process's exit code.
 * The library's path comes by the environment, because the socket can't be read without the library.
 */
export function runEngine(libraryPath: string, log: Logger): number {
  const library = openLibrary(libraryPath, log);
  if (library === null) return 1;
  dieWithParent(library, process.ppid);
  const channel = new Channel(library);
  const forwardLog = (): void => {
    // A load says a hundred lines, which are for whoever debugs a load.
    for (const { level, text } of library.readLog()) log[level === "info" ? "debug" : level](text);
  };
  try {
    const first = channel.receiveFirst();
    if (first === null || first.type === "shutdown") return 0;
    if ((first.type !== "load" && first.type !== "ask") || first.version !== PROTOCOL_VERSION) {
      throw new Error("the server speaks another protocol version");
    }
    const hooks: LoadHooks = {
      onProgress: (fraction) => channel.send({ type: "progress", fraction }),
      wait: (timeoutMs) => {
        channel.waitForJob(timeoutMs);
        forwardLog();
      },
    };
    if (first.type === "ask") {
      // A terminal sends Ctrl-C to all of its processes: whoever asked decides, and ends this one.
      process.on("SIGINT", () => {});
      channel.send({ type: "answer", answer: answerJob(library, first.question, hooks) });
    } else {
      serve(library, channel, first.settings, log, { ...hooks, forwardLog });
    }
    forwardLog();
    return 0;
  } catch (thrown) {
    forwardLog();
    if (channel.closed) return 0;
    channel.send({ type: "failed", error: toAppError(thrown).toBody() });
    return thrown instanceof AppError ? 0 : 1;
  }
}

/** Null when it can't be opened: without the library there is no channel, so the log is what is left to say why. */
function openLibrary(path: string, log: Logger): NativeLibrary | null {
  try {
    return NativeLibrary.open(path);
  } catch (thrown) {
    log.error(toAppError(thrown).message);
    return null;
  }
}

function serve(
  library: NativeLibrary,
  channel: Channel,
  settings: EngineSettings,
  log: Logger,
  hooks: LoadHooks & { forwardLog: () => void },
): void {
  const { forwardLog } = hooks;
  startPlugins(library, settings.plugins);
  // Never disposed: the process ends with it, and who waits for its memory would wait for 300,000 texts to be freed one by one.
  const backend = loadBackend(library, settings, hooks);
  forwardLog();
  const { head } = backend.info;
  if (head && head.rests !== null) log.info(`The model's MTP layers (${head.layers}) are not used: ${head.rests}.`);
  const store = openStore(backend, settings, log);
  using engine = new Engine(backend, systemClock, (message, payload) => channel.send(message, payload), {
    itlMsMax: settings.itlMsMax,
    speculates: settings.speculates,
    warn: (message) => log.warn(message),
    shiftsContext: settings.shiftsContext,
    store,
    checkpointBytesMax: settings.checkpointBytesMax ?? automaticCheckpointBytes(process.constrainedMemory()),
    adapters: settings.adapters.map(hashFile),
  });
  channel.send({ type: "ready", version: PROTOCOL_VERSION, info: backend.info });
  const sweeper = new HeapSweeper();
  for (;;) {
    const { restMs } = engine;
    sweeper.sweep(restMs > 0);
    if (restMs > 0) channel.wait(Math.ceil(Math.min(restMs, WAIT_MS_MAX)));
    for (const message of channel.receive()) {
      if (message.type === "shutdown") return;
      sweeper.note();
      engine.receive(message);
    }
    if (channel.closed) return;
    engine.step();
    forwardLog();
  }
}

/** A folder that can't be used costs the kept state, not the service. */
function openStore(backend: Backend, settings: EngineSettings, log: Logger): KvStore | null {
  const { kvStore, modelPath } = settings;
  const { memory } = backend.info;
  if (kvStore === null || (memory !== "plain" && memory !== "sliding" && !backend.checkpoints)) return null;
  try {
    const modelKey = keyOfModel(modelPath, [kvStore.buildKey, backend.stateLayout, memory]);
    const warn = (message: string): void => log.warn(message);
    return new KvStore(backend, systemClock, { ...kvStore, modelKey, warn });
  } catch (thrown) {
    log.warn(`KV state is not kept on disk: ${toAppError(thrown).message}`);
    return null;
  }
}
