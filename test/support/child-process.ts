// A server process under test: bounded logs, a bounded start, and an end that is sure to come.
// It knows no server in particular; peer.ts and server.ts do.

import type { Subprocess } from "bun";

export interface Child {
  pid: number;
  /** What the process said on stderr (and stdout where nobody reads it) last. */
  logTail(): string;
  /** Null while it runs. */
  exitCode(): number | null;
  /** Asks, and after a grace insists. Resolves once the process is gone. */
  stop(): Promise<void>;
  /** Kills at once, as a crash would. */
  kill(signal?: NodeJS.Signals): void;
}

export interface SpawnedChild extends Child {
  /** The first line on stdout; null when stdout ends without one. */
  firstLine: Promise<string | null>;
}

/** Enough for the lines that explain a failed start. */
const LOG_CHARACTERS_MAX = 64 * 1024;
/** A drain of tests' short requests takes far less. */
const STOP_GRACE_MS = 5_000;

const running = new Set<Subprocess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export function spawnChild(command: string[], options: { env: Record<string, string>; cwd?: string }): SpawnedChild {
  const child = Bun.spawn(command, {
    env: options.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  running.add(child);
  let log = "";
  const keep = (text: string) => {
    log = (log + text).slice(-LOG_CHARACTERS_MAX);
  };
  const finished = Promise.all([child.exited, drain(child.stderr, keep)]).finally(() => running.delete(child));
  return {
    pid: child.pid,
    firstLine: readFirstLine(child.stdout, keep),
    logTail: () => log,
    exitCode: () => child.exitCode ?? (child.signalCode === null ? null : -1),
    kill: (signal = "SIGKILL") => child.kill(signal),
    async stop() {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_GRACE_MS);
      await finished;
      clearTimeout(timer);
    },
  };
}

/** The environment without what would change how a server under test behaves. */
export function cleanEnvironment(extra: Record<string, string> = {}): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !/^(LLAMA_|GGML_|HF_|ML_OFFLOAD_|MODEL_CONFIG_DIR)/.test(name)) kept[name] = value;
  }
  // Models that the developer's other programs keep are no part of a test.
  return { ...kept, ML_OFFLOAD_DISCOVER: "off", ...extra };
}

/** Polls until `probe` answers true. Throws with the log when the process ends or the time is up. */
export async function waitUntilReady(child: Child, name: string, timeoutMs: number, probe: () => Promise<boolean>) {
  const deadline = performance.now() + timeoutMs;
  while (!(await probe())) {
    if (child.exitCode() !== null) throw new Error(`${name} ended (${child.exitCode()}) at start:\n${child.logTail()}`);
    if (performance.now() > deadline) {
      child.kill();
      throw new Error(`${name} was not ready after ${timeoutMs} ms:\n${child.logTail()}`);
    }
    await Bun.sleep(20);
  }
}

/** True when the address answers 200; a refused connection is a server that is not up yet. */
export async function answersOk(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(1_000) });
    await response.body?.cancel();
    return response.ok;
  } catch (thrown) {
    if (thrown instanceof Error) return false;
    throw thrown;
  }
}

/** A port that was free a moment ago, for servers that can't choose one themselves. */
export function findFreePort(): number {
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const port = probe.port;
  probe.stop(true);
  return port;
}

async function drain(stream: ReadableStream<Uint8Array>, keep: (text: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) keep(decoder.decode(chunk, { stream: true }));
}

/** Resolves with the first line, and goes on draining so that the process never blocks on its stdout. */
function readFirstLine(stream: ReadableStream<Uint8Array>, keep: (text: string) => void): Promise<string | null> {
  return new Promise((resolve, reject) => {
    let line: string | null = "";
    drain(stream, (text) => {
      if (line === null) {
        keep(text);
        return;
      }
      line += text;
      const end = line.indexOf("\n");
      if (end === -1) return;
      resolve(line.slice(0, end));
      keep(line.slice(end + 1));
      line = null;
    }).then(() => resolve(null), reject);
  });
}
