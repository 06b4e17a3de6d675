// Starts our own binary again as a child with a socket at descriptor 3. The one place that knows how.
// Standard output and error of a child are logs, never protocol.

import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import type { Socket, SocketHandler } from "bun";
import type { Logger } from "../../lib/log.ts";
import { encodeFrame, type Frame, FrameDecoder, type FromEngine, type ToEngine } from "../../protocol/messages.ts";

export interface ChildHooks {
  onFrame(frame: Frame<FromEngine>): void;
  /** Once, when the process is gone and its socket is read to the end. */
  onExit(reason: ExitReason): void;
}

export interface ExitReason {
  code: number | null;
  signal: string | null;
  /** The last lines that the child wrote, such as an assertion of ggml. */
  lastLines: string[];
}

/** Tells a child where libmlo is: it needs it to read its socket. */
export const LIBRARY_VARIABLE = "ML_OFFLOAD_LIBRARY";

/** Lines kept for the story of a crash. */
const LAST_LINES = 12;
/** From this line on Bun's crash handler speaks, at length, and calls a failed assertion of ggml its own bug. */
const CRASH_BANNER = /^={20,}$/;
const STACK_FRAME = /^\s+at /;

/**
 * What children are told besides: ggml would attach a debugger to a process that aborts, which may keep it for seconds
 * and buries the assertion under its frames; and Bun would offer a crash report that concerns nobody there.
 */
export const CHILD_ENVIRONMENT = { GGML_NO_BACKTRACE: "1", BUN_ENABLE_CRASH_REPORTING: "0" };

export interface Child {
  readonly pid: number;
  send(message: ToEngine): void;
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

/** Command line that runs this program again, from source or compiled. */
export function selfCommand(): string[] {
  const isCompiled = Bun.main.startsWith("/$bunfs/");
  if (!isCompiled) return [process.execPath, Bun.main];
  return startedByLoader() ?? [openExecutable()];
}

/** Our file as it was when we started: an update may put another one in its place, or delete it, while we run. */
function openExecutable(): string {
  return process.platform === "linux" ? `/proc/${process.pid}/exe` : process.execPath;
}

/** `ld.so ./ml-offload …` (NixOS, odd distributions): the program of the process is then the loader. Null: it is ours. */
function startedByLoader(): string[] | null {
  if (!/^ld(-linux|-musl|64|\.so)/.test(basename(process.execPath))) return null;
  const words = readFileSync("/proc/self/cmdline", "utf8").split("\0").slice(0, -1);
  // What is left of our own arguments: the loader, its options, and our file.
  return words.slice(0, words.length - process.argv.slice(2).length);
}

/** Bytes that the socket did not take yet, in order. The messages themselves are bounded by the API's body limit. */
class Outgoing {
  readonly #chunks: Uint8Array[] = [];
  socket: { write(bytes: Uint8Array): number } | null = null;

  push(bytes: Uint8Array): void {
    this.#chunks.push(bytes);
    this.flush();
  }

  flush(): void {
    if (this.socket === null) return;
    for (let first = this.#chunks[0]; first !== undefined; first = this.#chunks[0]) {
      const written = Math.max(0, this.socket.write(first));
      if (written < first.byteLength) {
        this.#chunks[0] = first.subarray(written);
        return;
      }
      this.#chunks.shift();
    }
  }

  clear(): void {
    this.socket = null;
    this.#chunks.length = 0;
  }
}

/** Spawns `engine …args`. */
export async function spawnChild(libraryPath: string, args: string[], log: Logger, hooks: ChildHooks): Promise<Child> {
  const child = Bun.spawn([...selfCommand(), "engine", ...args], {
    argv0: process.execPath,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    env: { ...CHILD_ENVIRONMENT, ...process.env, [LIBRARY_VARIABLE]: libraryPath },
  });
  preferForOom(child.pid);
  const { lastLines, remember } = collectLastLines();
  const logs = Promise.all([readLines(child.stdout, log, remember), readLines(child.stderr, log, remember)]);

  const outgoing = new Outgoing();
  const decoder = new FrameDecoder<FromEngine>();
  const closed = Promise.withResolvers<void>();
  const descriptor = child.stdio[3] as unknown as number;
  outgoing.socket = await openSocket(descriptor, {
    data: (_, bytes) => {
      try {
        for (const frame of decoder.push(bytes)) hooks.onFrame(frame);
      } catch (thrown) {
        // What the child says can't be read any more: its requests would wait for ever. They end with it.
        log.error("a child's message can't be read", { error: String(thrown) });
        child.kill("SIGKILL");
      }
    },
    drain: () => outgoing.flush(),
    close: () => closed.resolve(),
    error: (_, error) => log.warn("engine socket", { error: error.message }),
  });
  outgoing.flush();

  void Promise.all([child.exited, closed.promise, logs]).then(() => {
    outgoing.clear();
    const signal = child.signalCode;
    hooks.onExit({ code: child.exitCode, signal: signal === null ? null : String(signal), lastLines });
  });
  return {
    pid: child.pid,
    send: (message) => outgoing.push(encodeFrame(message)),
    kill: (signal) => child.kill(signal),
  };
}

/** How much likelier than ourselves a child is ended when memory runs out: it has less memory than we at its start. */
const OOM_PREFERENCE = 300;
const OOM_SCORE_MAX = 1000;

/** The kernel takes an engine, whose requests are told, rather than the server. Elsewhere than on Linux it does as it likes. */
function preferForOom(pid: number): void {
  try {
    const own = Number(readFileSync("/proc/self/oom_score_adj", "utf8"));
    writeFileSync(`/proc/${pid}/oom_score_adj`, String(Math.min(own + OOM_PREFERENCE, OOM_SCORE_MAX)));
  } catch (_unknown) {
    // No such file, or the child has ended already.
  }
}

/** The last lines that may tell why a child ended. */
function collectLastLines(): { lastLines: string[]; remember: (line: string) => void } {
  const lastLines: string[] = [];
  let isOver = false;
  const remember = (line: string): void => {
    isOver ||= CRASH_BANNER.test(line);
    if (isOver || STACK_FRAME.test(line)) return;
    lastLines.push(line);
    if (lastLines.length > LAST_LINES) lastLines.shift();
  };
  return { lastLines, remember };
}

/** `Bun.connect` over a descriptor that is open already: Bun has it, its types do not. */
function openSocket(fd: number, socket: SocketHandler<undefined>): Promise<Socket<undefined>> {
  const connect = Bun.connect as unknown as (options: object) => Promise<Socket<undefined>>;
  return connect({ fd, socket });
}

const LOG_LINE_CHARS_MAX = 4096;

/** Forwards a child's log lines; our own loggers write JSON, native code writes text. */
async function readLines(
  stream: ReadableStream<Uint8Array>,
  log: Logger,
  remember: (line: string) => void,
): Promise<void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)) {
    const lines = (rest + text).split("\n");
    rest = (lines.pop() ?? "").slice(0, LOG_LINE_CHARS_MAX);
    for (const line of lines) forwardLine(line, log, remember);
  }
  if (rest !== "") forwardLine(rest, log, remember);
}

function forwardLine(line: string, log: Logger, remember: (line: string) => void): void {
  if (line.trim() === "") return;
  const own = parseOwn(line);
  if (own === null) {
    remember(line);
    log.warn(line);
    return;
  }
  if (own.level === "warn" || own.level === "error") remember(own.message);
  log[own.level](own.message);
}

function parseOwn(line: string): { level: "debug" | "info" | "warn" | "error"; message: string } | null {
  if (!line.startsWith("{")) return null;
  try {
    const { level, message } = JSON.parse(line) as { level?: string; message?: string };
    if (typeof message !== "string") return null;
    if (level === "debug" || level === "info" || level === "warn" || level === "error") return { level, message };
    return null;
  } catch {
    // Text that merely begins with a brace: it is forwarded as it is.
    return null;
  }
}
