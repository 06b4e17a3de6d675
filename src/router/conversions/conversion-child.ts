// One conversion in a process of its own: this program's command `convert`. Encoding and vocabularies would block the server's
// thread, and a crash or a kill must end the conversion alone. It writes into a hidden folder, whose file gets its place
// when it is whole; that folder is removed however the process ends.

import { existsSync } from "node:fs";
import { link, mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { codeOf } from "../../lib/system-error.ts";
import { type ConversionLine, type ConversionResult, parseConversionLine } from "../../protocol/conversion.ts";
import { AppError } from "../../protocol/errors.ts";
import { CHILD_ENVIRONMENT, selfCommand } from "../children/child.ts";

export interface ConversionTask {
  /** A folder, absolute. */
  source: string;
  /** As `convert --outtype` takes it. */
  outType: string;
  /** Where the file goes; it is there already. */
  folder: string;
  /** The file's name without `.gguf`; null: the source's name and the type. */
  name: string | null;
  signal: AbortSignal;
  onLine: (line: ConversionLine) => void;
  log: Logger;
  clock: Clock;
}

/** Hidden, so that no search takes what is in it for a model; the number is that of the process that owns it. */
const STAGING = /^\.convert-(\d+)-\d+$/;
/** It removes what it has written; after that it is killed. */
const STOP_MS = 5_000;
/** A line holds a path and some notes. */
const LINE_CHARACTERS_MAX = 256 * 1024;
/** Lines of the end that may tell why. */
const LAST_LINES = 3;
/** The hidden folders of this very process: another one before it may have had its number. */
const active = new Set<string>();
let count = 0;

/** Throws AppError: what the converter says, or how its process died. */
export async function runConversion(task: ConversionTask): Promise<ConversionResult> {
  const { folder, name } = task;
  const staging = join(folder, `.convert-${process.pid}-${++count}`);
  active.add(staging);
  try {
    await mkdir(staging);
    const result = await runChild(task, staging);
    const target = join(folder, name === null ? basename(result.target) : `${name}.gguf`);
    await placeFile(join(staging, basename(result.target)), target);
    return { ...result, target };
  } catch (thrown) {
    throw explainDisk(thrown, folder);
  } finally {
    await rm(staging, { recursive: true, force: true });
    active.delete(staging);
  }
}

/** What servers that were killed have left in a folder. */
export async function removeLeftovers(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const owner = STAGING.exec(name)?.[1];
    const path = join(folder, name);
    if (owner === undefined || isInUse(path, Number(owner))) continue;
    await rm(path, { recursive: true, force: true });
  }
}

function isInUse(staging: string, pid: number): boolean {
  if (pid === process.pid) return active.has(staging);
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    // Somebody else's process can't be asked, but it is there.
    return codeOf(thrown) === "EPERM";
  }
}

async function runChild(task: ConversionTask, staging: string): Promise<ConversionResult> {
  const { source, outType, signal, clock } = task;
  signal.throwIfAborted();
  const options = ["--outtype", outType, "--json", "--stop-with-stdin"];
  const child = Bun.spawn([...selfCommand(), "convert", source, staging, ...options], {
    argv0: process.execPath,
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...CHILD_ENVIRONMENT, ...process.env },
  });
  let cancelKill = (): void => {};
  const stop = (): void => {
    void child.stdin.end();
    cancelKill = clock.after(STOP_MS, () => child.kill("SIGKILL"));
  };
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  const story = new Story(task);
  try {
    const read = (stream: ReadableStream<Uint8Array>, take: (line: string) => void): Promise<void> =>
      readLines(stream, take, () => child.kill("SIGKILL"));
    await Promise.all([
      read(child.stdout, (line) => story.take(line)),
      read(child.stderr, (line) => story.remember(line)),
      child.exited,
    ]);
  } finally {
    cancelKill();
    signal.removeEventListener("abort", stop);
  }
  return story.end(child.signalCode === null ? `with code ${child.exitCode}` : `by ${child.signalCode}`);
}

/** What the process has said, and what it comes to. */
class Story {
  readonly #task: ConversionTask;
  readonly #lastLines: string[] = [];
  #result: ConversionResult | null = null;
  #error: AppError | null = null;

  constructor(task: ConversionTask) {
    this.#task = task;
  }

  take(text: string): void {
    const line = parseConversionLine(text);
    if (line === null) {
      this.remember(text);
      return;
    }
    if (line.type === "done") this.#result = line;
    else if (line.type === "failed") this.#error = new AppError(line.error);
    this.#task.onLine(line);
  }

  remember(line: string): void {
    if (line.trim() === "") return;
    this.#task.log.debug(line);
    this.#lastLines.push(line);
    if (this.#lastLines.length > LAST_LINES) this.#lastLines.shift();
  }

  end(how: string): ConversionResult {
    const { signal, source } = this.#task;
    if (this.#result !== null) return this.#result;
    signal.throwIfAborted();
    if (this.#error !== null) throw this.#error;
    const words = this.#lastLines.length === 0 ? "" : ` Its last words: ${this.#lastLines.join(" | ")}`;
    throw new AppError({
      code: "engine_crashed",
      message: `The conversion of ${source} ended ${how} before it was done.${words}`,
      hint: "Try again: it begins anew. Where the system ended it, there was too little memory.",
    });
  }
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  take: (line: string) => void,
  giveUp: () => void,
): Promise<void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
    if (rest.length <= LINE_CHARACTERS_MAX) continue;
    // No line of ours is so long, and what follows would only add to it.
    giveUp();
    rest = "";
  }
  if (rest !== "") take(rest);
}

/** Never over a file that has come meanwhile, as a rename alone would be. */
async function placeFile(staged: string, target: string): Promise<void> {
  try {
    await link(staged, target);
  } catch (thrown) {
    if (codeOf(thrown) === "EEXIST" || existsSync(target)) throw alreadyThere(target);
    // Some file systems have no hard links.
    await rename(staged, target);
  }
  const folder = await open(dirname(target), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export function alreadyThere(target: string): AppError {
  const message = `${basename(target)} is already in the folder of models`;
  return new AppError({ code: "invalid_request", message, hint: "Choose another name, or delete that model first." });
}

const DISK_ERRORS: readonly unknown[] = ["ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "EIO", "ENOENT", "ENOTDIR"];

function explainDisk(thrown: unknown, folder: string): unknown {
  if (!DISK_ERRORS.includes(codeOf(thrown))) return thrown;
  const message = `${folder} can't be written: ${(thrown as Error).message}`;
  const hint = "Free disk space or check the permissions of the folder.";
  return new AppError({ code: "storage_unavailable", message, hint }, { cause: thrown });
}
