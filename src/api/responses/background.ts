// Responses that go on without their client. Each is stored when it begins and when it ends; in between it lives here, and
// its events are read from its log by whoever asks.

import { AppError, toAppError } from "../../protocol/errors.ts";
import type { ApiContext } from "../options.ts";
import { RequestScope } from "../request-scope.ts";
import type { ResponseArchive } from "./archive.ts";
import { ResponseBuilder } from "./builder.ts";
import { EventLog } from "./event-log.ts";
import type { ResponsePlan } from "./plan.ts";
import type { ResponseReply } from "./reply-schema.ts";
import { startRun } from "./run.ts";

/** Each waits in the engine's queue and keeps its events: as many as one server's clients may reasonably have begun. */
const RUNNING_MAX = 256;

/** Those that have ended and could not be stored: they are had from here, as long as there is room. */
const UNSTORED_MAX = 64;

class BackgroundRun {
  readonly log = new EventLog();
  readonly plan: ResponsePlan;
  readonly builder: ResponseBuilder;
  readonly scope: RequestScope;
  /** Settled and, if that could be done, stored. Never rejects. */
  ended: Promise<void> = Promise.resolve();
  isOpen = true;

  constructor(plan: ResponsePlan, scope: RequestScope) {
    this.plan = plan;
    this.scope = scope;
    this.builder = new ResponseBuilder(plan.reply, plan);
  }

  get reply(): ResponseReply {
    return this.builder.reply;
  }

  /** Resolves when it has ended. */
  async cancel(): Promise<void> {
    this.scope.abort(new AppError({ code: "cancelled", message: "the response was cancelled" }));
    await this.ended;
  }
}

export class BackgroundRuns {
  readonly #api: ApiContext;
  readonly #archive: ResponseArchive;
  readonly #runs = new Map<string, BackgroundRun>();

  constructor(api: ApiContext, archive: ResponseArchive) {
    this.#api = api;
    this.#archive = archive;
  }

  find(id: string): BackgroundRun | null {
    return this.#runs.get(id) ?? null;
  }

  forget(id: string): void {
    this.#runs.delete(id);
  }

  /** Throws `overloaded`, or `storage_unavailable`: without a place to leave it, it would be computed for nobody. */
  start(plan: ResponsePlan, model: string | undefined): BackgroundRun {
    const running = [...this.#runs.values()].filter(({ isOpen }) => isOpen).length;
    if (running >= RUNNING_MAX) {
      const message = `${RUNNING_MAX} responses run in the background already`;
      throw new AppError({ code: "overloaded", message, hint: "Try again when some have ended." });
    }
    const scope = new RequestScope(new AbortController().signal, this.#api.options.requestTimeoutMs, this.#api.clock);
    const run = new BackgroundRun(plan, scope);
    run.log.append(run.builder.queue());
    try {
      this.#archive.create(plan, run.reply);
    } catch (thrown) {
      scope.close();
      throw thrown;
    }
    this.#runs.set(plan.reply.id, run);
    run.ended = this.#pump(run, model);
    return run;
  }

  async #pump(run: BackgroundRun, model: string | undefined): Promise<void> {
    const { plan, builder, scope, log } = run;
    const settle = () => {
      this.#settle(run);
      return [];
    };
    try {
      const started = await startRun({ api: this.#api, model, plan, builder, scope, settle });
      log.append(started.begin());
      for (let events = await started.next(); events !== null; events = await started.next()) log.append(events);
    } catch (thrown) {
      // Refused before it began: nobody waits for an HTTP status any more.
      const error = toAppError(thrown);
      if (error.code === "cancelled") builder.cancel();
      else builder.fail(error.toBody());
      this.#settle(run);
    }
  }

  #settle(run: BackgroundRun): void {
    const { log, builder, plan } = run;
    log.append(builder.end());
    const problem = this.#archive.save(plan, builder.reply, log.pack());
    run.isOpen = false;
    log.end();
    if (problem === null) this.#runs.delete(plan.reply.id);
    else this.#dropUnstored();
  }

  #dropUnstored(): void {
    const ended = [...this.#runs].filter(([, { isOpen }]) => !isOpen);
    for (const [id] of ended.slice(0, Math.max(0, ended.length - UNSTORED_MAX))) this.#runs.delete(id);
  }
}
