// The conversions of this server: one at a time, since each is bound by the disk and one core; others queue, and whoever asks
// for the same joins. A requester who leaves ends nothing. How one is done is conversion-child.ts.

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { ConversionLine, ConversionPhase, ConversionResult } from "../../protocol/conversion.ts";
import { AppError, type ErrorBody, toAppError } from "../../protocol/errors.ts";
import { alreadyThere, type ConversionTask } from "./conversion-child.ts";

export interface ConversionRequest {
  /** How listings and events call the source. */
  label: string;
  /** A folder, absolute. */
  source: string;
  /** As `convert --outtype` takes it. */
  outType: string;
  /** Where the file goes; it is there already. */
  folder: string;
  /** The file's name without `.gguf`; null: the source's name and the type. */
  name: string | null;
}

/** Conversions as the API sees them: into the server's own models folder. */
export interface ConversionService {
  /** Throws `overloaded`, and `invalid_request` for a type that there is not or a name that is taken. */
  start(request: Omit<ConversionRequest, "folder">): ConversionJob;
  /** Throws what it failed with, and `not_found`. */
  outcome(id: string): Promise<ConversionResult>;
  list(): ConversionJob[];
  get(id: string): ConversionJob;
  cancel(id: string): Promise<ConversionJob>;
  /**
   * Makes the file by which a listed folder of weights is served, as the first request for it would; there already, it does
   * nothing. The signal ends the wait alone. Throws what the conversion failed with, and `model_not_found`.
   */
  prepare(folder: string, signal: AbortSignal, onChange: (job: ConversionJob) => void): Promise<void>;
}

export type ConversionState = "queued" | "running" | "done" | "failed" | "cancelled";

/** A conversion as it is told: no path of the disk but what the requester has named. */
export interface ConversionJob {
  id: string;
  source: string;
  state: ConversionState;
  /** As it was asked for, until it is settled. */
  outType: string;
  /** The file's name; null: not settled yet. */
  file: string | null;
  /** Null where there is one phase alone. */
  phase: ConversionPhase | null;
  /** Of this phase. */
  doneBytes: number;
  /** Null: not known yet. */
  totalBytes: number | null;
  /** Milliseconds since the epoch. */
  askedAt: number;
  endedAt: number | null;
  /** What the user should know about the result. */
  notes: string[];
  error: ErrorBody | null;
}

export interface ConversionsOptions {
  run: (task: ConversionTask) => Promise<ConversionResult>;
  /** Each change of a job. */
  onChange: (job: ConversionJob) => void;
  log: Logger;
  clock: Clock;
}

/** Each takes minutes and gigabytes: a longer queue is a mistake. */
const QUEUED_MAX = 16;
/** Those that have ended and can be looked at still. */
const ENDED_MAX = 64;

interface Entry {
  request: ConversionRequest;
  job: ConversionJob;
  stop: AbortController;
  ended: PromiseWithResolvers<ConversionResult>;
  /** Besides those who hear of all. */
  followers: ((job: ConversionJob) => void)[];
}

export class Conversions {
  readonly #options: ConversionsOptions;
  /** In the order in which they were asked for. */
  readonly #entries = new Map<string, Entry>();
  #running: Promise<void> | null = null;
  #stopped = false;

  constructor(options: ConversionsOptions) {
    this.#options = options;
  }

  /** Throws `overloaded`, and `invalid_request` when the name is taken. */
  start(request: ConversionRequest): ConversionJob {
    const same = this.#findOpen((other) => Bun.deepEquals({ ...other, label: "" }, { ...request, label: "" }));
    if (same !== undefined) return { ...same.job };
    if (this.#stopped) throw new AppError({ code: "overloaded", message: "The server is stopping." });
    if (request.name !== null) assertFree(request.folder, `${request.name}.gguf`);
    const open = [...this.#entries.values()].filter(({ job }) => isOpen(job)).length;
    if (open > QUEUED_MAX) {
      const message = `${QUEUED_MAX} conversions wait already`;
      throw new AppError({ code: "overloaded", message, hint: "Try again when one of them has ended." });
    }
    const entry = this.#add(request);
    void this.#runQueue();
    return { ...entry.job };
  }

  /** The outcome of one that was started. Throws what it failed with, and `not_found`. */
  async outcome(id: string): Promise<ConversionResult> {
    return await this.#entry(id).ended.promise;
  }

  /** Tells how it is, and each change from now on. Throws `not_found`. */
  follow(id: string, onChange: (job: ConversionJob) => void): void {
    const { job, followers } = this.#entry(id);
    followers.push(onChange);
    onChange({ ...job });
  }

  list(): ConversionJob[] {
    return [...this.#entries.values()].map(({ job }) => ({ ...job }));
  }

  /** Throws `not_found`. */
  get(id: string): ConversionJob {
    return { ...this.#entry(id).job };
  }

  /** Ends it; nothing of it is left. One that has ended stays as it is. Resolves when it has. Throws `not_found`. */
  async cancel(id: string): Promise<ConversionJob> {
    const entry = this.#entry(id);
    this.#stop(entry, "was cancelled");
    await entry.ended.promise.then(noop, noop);
    return { ...entry.job };
  }

  /** Ends all. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const entry of this.#entries.values()) this.#stop(entry, "was ended because the server stops");
    await this.#running;
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry !== undefined) return entry;
    const message = `there is no conversion ${JSON.stringify(id.slice(0, 100))}`;
    throw new AppError({ code: "not_found", message, hint: "GET /api/models/convert lists them." });
  }

  #findOpen(matches: (request: ConversionRequest) => boolean): Entry | undefined {
    // One that is being cancelled is open until its process has ended: who asks again does not want its end.
    const goesOn = ({ job, stop }: Entry): boolean => isOpen(job) && !stop.signal.aborted;
    return [...this.#entries.values()].find((entry) => goesOn(entry) && matches(entry.request));
  }

  #add(request: ConversionRequest): Entry {
    const job: ConversionJob = {
      id: crypto.randomUUID(),
      source: request.label,
      state: "queued",
      outType: request.outType,
      file: request.name === null ? null : `${request.name}.gguf`,
      phase: null,
      doneBytes: 0,
      totalBytes: null,
      askedAt: this.#options.clock.wallMs(),
      endedAt: null,
      notes: [],
      error: null,
    };
    const ended = Promise.withResolvers<ConversionResult>();
    const entry: Entry = { request, job, stop: new AbortController(), ended, followers: [] };
    // Nobody need wait for it.
    entry.ended.promise.catch(noop);
    this.#entries.set(job.id, entry);
    const over = [...this.#entries.values()].filter((other) => !isOpen(other.job));
    for (const old of over.slice(0, Math.max(0, over.length - ENDED_MAX))) this.#entries.delete(old.job.id);
    this.#tell(entry);
    return entry;
  }

  #stop(entry: Entry, why: string): void {
    if (!isOpen(entry.job)) return;
    const message = `The conversion of ${entry.job.source} ${why}.`;
    const error = new AppError({ code: "cancelled", message, hint: "Ask again: it begins anew." });
    entry.stop.abort(error);
    if (entry.job.state === "queued") this.#end(entry, error);
  }

  async #runQueue(): Promise<void> {
    if (this.#running !== null) return;
    const next = this.#nextQueued();
    if (next === undefined) return;
    this.#running = this.#run(next);
    await this.#running;
    this.#running = null;
    void this.#runQueue();
  }

  #nextQueued(): Entry | undefined {
    return [...this.#entries.values()].find(({ job }) => job.state === "queued");
  }

  async #run(entry: Entry): Promise<void> {
    const { request, job, stop } = entry;
    const { log, clock } = this.#options;
    job.state = "running";
    log.info("converting", { source: job.source, outType: job.outType });
    this.#tell(entry);
    const onLine = (line: ConversionLine): void => this.#note(entry, line);
    try {
      const result = await this.#options.run({ ...request, signal: stop.signal, onLine, log, clock });
      Object.assign(job, { state: "done", outType: result.outType, notes: result.notes, endedAt: clock.wallMs() });
      log.info("converted", { source: job.source, outType: job.outType, bytes: result.bytes });
      this.#tell(entry);
      entry.ended.resolve(result);
    } catch (thrown) {
      this.#end(entry, toAppError(thrown));
    }
  }

  #end(entry: Entry, error: AppError): void {
    const { job, ended } = entry;
    const { log, clock } = this.#options;
    const state = error.code === "cancelled" ? "cancelled" : "failed";
    Object.assign(job, { state, error: error.toBody(), endedAt: clock.wallMs() });
    if (state === "failed") log.error("conversion failed", { source: job.source, error: error.message });
    else log.info("conversion ended", { source: job.source });
    this.#tell(entry);
    ended.reject(error);
  }

  #note(entry: Entry, line: ConversionLine): void {
    const { job, request, stop } = entry;
    if (line.type === "progress") {
      const { phase, doneBytes, totalBytes } = line;
      Object.assign(job, { phase, doneBytes, totalBytes });
    } else if (line.type === "planned") {
      job.outType = line.outType;
      job.file ??= line.file;
      // Told before gigabytes are written for nothing.
      if (existsSync(join(request.folder, job.file))) stop.abort(alreadyThere(job.file));
    } else return;
    this.#tell(entry);
  }

  #tell({ job, followers }: Entry): void {
    this.#options.onChange({ ...job });
    for (const follower of followers) follower({ ...job });
  }
}

const isOpen = ({ state }: ConversionJob): boolean => state === "queued" || state === "running";

function assertFree(folder: string, file: string): void {
  if (existsSync(join(folder, file))) throw alreadyThere(file);
}

function noop(): void {}
