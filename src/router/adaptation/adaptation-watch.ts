// Looks at the machine while engines run, tells each of them what it may use, and tells people what was lowered and why.
// What a reading means is pressure.ts' business, how far to go adaptation.ts'.

import type { CancelTimer, Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { MachineSnapshot } from "../../protocol/machine.ts";
import type { EngineLimits } from "../../protocol/messages.ts";
import type { LoadedModelInfo } from "../../protocol/model-info.ts";
import {
  type Adaptable,
  type AdaptationPolicy,
  type AdaptationState,
  adapt,
  LEVEL_MAX,
  type Lowerable,
  type Lowered,
  limitsAt,
  listLowered,
  listSpared,
  UNLOWERED,
} from "./adaptation.ts";
import { type Judgement, judgeMachine } from "./pressure.ts";

/** What the watch needs of an engine process. */
export interface AdaptableEngine {
  readonly pid: number;
  readonly info: LoadedModelInfo;
  readonly client: { adjust(limits: EngineLimits): void };
  readonly exited: Promise<unknown>;
}

export interface AdaptationDependencies {
  readMachine(): Promise<MachineSnapshot>;
  policy: AdaptationPolicy;
  clock: Clock;
  log: Logger;
  /** Tells whoever listens what has changed. */
  publish(adaptation: EngineAdaptation): void;
}

/** What one engine was lowered to, and why. */
export interface EngineAdaptation {
  model: string;
  pid: number;
  /** 0: as it was loaded. */
  level: number;
  levelMax: number;
  limits: EngineLimits;
  lowered: Lowered[];
  /** What would be lowered if it had not been set explicitly. */
  spared: Lowered[];
  /** What presses, or keeps it from going up again. */
  causes: Judgement[];
}

export interface AdaptationReport {
  policy: AdaptationPolicy;
  /** Why the machine could not be looked at the last time; null: it could, or nobody had to. */
  problem: string | null;
  engines: EngineAdaptation[];
}

/** Whoever wants to know what is lowered asks one of these. */
export interface AdaptationSource {
  describe(): AdaptationReport;
}

interface Watched {
  model: string;
  engine: AdaptableEngine;
  loaded: Adaptable;
  state: AdaptationState;
  judgements: Judgement[];
}

/** Pressure builds up in seconds. A look reads some small files, and asks a driver that answers in milliseconds. */
export const LOOK_MS = 2_500;

export class AdaptationWatch implements AdaptationSource {
  readonly #deps: AdaptationDependencies;
  readonly #watched = new Map<number, Watched>();
  #cancelTimer: CancelTimer = () => {};
  #isLooking = false;
  #stopped = false;
  #problem: string | null = null;

  constructor(deps: AdaptationDependencies) {
    this.#deps = deps;
  }

  /** From now on until it exits. One that only embeds has nothing to lower: an input must be in one batch. */
  watch(model: string, engine: AdaptableEngine, explicit: ReadonlySet<Lowerable>): void {
    const { info, pid } = engine;
    if (this.#stopped || !info.canGenerate || !this.#deps.policy.autoOptimization) return;
    const { batchSize, parallel, retainedMax } = info;
    const loaded = { batchSize, parallel, retainedMax, explicit };
    this.#watched.set(pid, { model, engine, loaded, state: UNLOWERED, judgements: [] });
    void engine.exited.then(() => this.#forget(pid, engine));
    if (this.#watched.size === 1 && !this.#isLooking) this.#arm();
  }

  describe(): AdaptationReport {
    const engines = [...this.#watched.values()].map((one) => this.#describe(one));
    return { policy: this.#deps.policy, problem: this.#problem, engines };
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer();
    this.#watched.clear();
  }

  #forget(pid: number, engine: AdaptableEngine): void {
    // A system gives a pid out again.
    if (this.#watched.get(pid)?.engine !== engine) return;
    this.#watched.delete(pid);
    if (this.#watched.size === 0) this.#cancelTimer();
  }

  #arm(): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#deps.clock.after(LOOK_MS, () => void this.#look(), true);
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    const machine = await this.#read();
    this.#isLooking = false;
    if (this.#stopped || this.#watched.size === 0) return;
    for (const one of this.#watched.values()) this.#update(one, machine);
    this.#arm();
  }

  async #read(): Promise<MachineSnapshot | null> {
    try {
      const machine = await this.#deps.readMachine();
      this.#problem = null;
      return machine;
    } catch (thrown) {
      const { message } = thrown as Error;
      // What is not known presses nobody, so that engines go back to what they were loaded with.
      if (this.#problem === null) this.#deps.log.warn("the machine can't be looked at", { error: message });
      this.#problem = message;
      return null;
    }
  }

  #update(one: Watched, machine: MachineSnapshot | null): void {
    const { policy, clock } = this.#deps;
    const exposure = { devices: one.engine.info.devices, ownPids: new Set(this.#watched.keys()) };
    one.judgements = machine === null ? [] : judgeMachine(machine, exposure, policy);
    const { level } = one.state;
    one.state = adapt(one.state, one.judgements, clock.monotonicMs(), policy);
    if (one.state.level !== level) this.#tell(one, level);
  }

  #tell(one: Watched, before: number): void {
    const { log, publish, policy } = this.#deps;
    const adaptation = this.#describe(one);
    const { model, pid, level, limits, lowered, spared } = adaptation;
    const isSame = Bun.deepEquals(limits, limitsAt(before, one.loaded, policy));
    if (!isSame) one.engine.client.adjust(limits);
    const words = [...lowered, ...spared].map((each) => each.words);
    const fields = { model, pid, level, ...(words.length === 0 ? {} : { changes: words }) };
    if (level > before) log.warn(isSame ? "under pressure" : "lowered under pressure", fields);
    else log.info(level === 0 ? "no longer lowered" : "less lowered", fields);
    publish(adaptation);
  }

  #describe({ model, engine, loaded, state, judgements }: Watched): EngineAdaptation {
    const { policy } = this.#deps;
    const { level } = state;
    return {
      model,
      pid: engine.pid,
      level,
      levelMax: LEVEL_MAX,
      limits: limitsAt(level, loaded, policy),
      lowered: listLowered(level, loaded, judgements, policy),
      spared: listSpared(level, loaded, policy),
      causes: judgements.filter(({ pressure }) => pressure !== "calm"),
    };
  }
}
