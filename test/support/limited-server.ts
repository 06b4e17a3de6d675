// A compiled server that is asked for a plan and held to it: requests over HTTP, and the most of its own memory that an engine
// ever has meanwhile. For tests of memory limits.

import { afterAll, afterEach } from "bun:test";
import { BINARY } from "./binary.ts";
import { type MadeGroup, type MemoryGroup, makeMemoryGroup } from "./memory-group.ts";
import { type ModelSpec, TINY_SPEC } from "./model-specs.ts";
import { type Server, startServer } from "./server.ts";
import { readRssAnon } from "./sparse-folder.ts";

export const MIB = 1024 ** 2;
/** Keys and values weigh much here and the rest little: 16 kB a token and layer. */
export const WIDE_KV_SPEC: ModelSpec = {
  ...TINY_SPEC,
  layers: 8,
  width: 256,
  heads: 32,
  kvHeads: 32,
  headSize: 128,
  feedForward: 512,
  contextLength: 32_768,
  seed: 11,
  weights: "Q8_0",
  embeddings: "F16",
  repeated: "all",
};
/** The larger of both: the bound of what a load may take beside its plan. */
const SHARE = 0.05;
const SLACK_BYTES = 64 * MIB;
/** Between two looks at the engine. */
const LOOK_MS = 20;

export interface Plan {
  verdict: string;
  plan: {
    settings: { parallel: number };
    memory: {
      host: Record<"weightsBytes" | "mappedBytes" | "kvBytes" | "computeBytes" | "overheadBytes", number>;
      embeddingBytes: number | null;
    };
  };
  change: { moreBytes: unknown } | null;
  options: { cost: string }[];
}

/** For one test file: the control group that its servers may run in, and the server of a test, which ends with the test. */
export class LimitedServers {
  readonly made: MadeGroup;
  #server: Server | null = null;

  /** `name`: of the group. */
  constructor(name: string) {
    this.made = makeMemoryGroup(`${name}-${process.pid}`);
    if (this.made.kind === "none") {
      console.warn(`skipped: no memory control group can be made here: ${this.made.reason}`);
    }
    afterEach(async () => {
      await this.#server?.stop();
      this.#server = null;
    });
    afterAll(() => {
      if (this.made.kind === "made") this.made.group[Symbol.dispose]();
    });
  }

  /** Throws where none can be made. */
  get group(): MemoryGroup {
    if (this.made.kind === "none") throw new Error(this.made.reason);
    return this.made.group;
  }

  /** `bytes`: within the group, with so much memory. */
  async start(model: string, args: readonly string[] = [], bytes: number | null = null): Promise<Server> {
    if (bytes !== null) this.group.limit(bytes);
    const program = bytes === null ? [BINARY] : this.group.enter([BINARY]);
    this.#server = await startServer({ program, args: ["--model", model, ...args] });
    return this.#server;
  }
}

export function toMib(bytes: number): number {
  return Math.round(bytes / MIB);
}

export async function post<T>({ url }: Server, path: string, body: object): Promise<{ status: number; body: T }> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
  return { status: response.status, body: (await response.json()) as T };
}

export async function nameOf({ url }: Server): Promise<string> {
  const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };
  return data[0]?.id ?? "";
}

export async function readStatus({ url }: Server): Promise<{ id: string; state: string; pid: number | null }[]> {
  const response = await fetch(`${url}/api/models/status`);
  return ((await response.json()) as { models: { id: string; state: string; pid: number | null }[] }).models;
}

/** Of the model that is loaded. */
export async function findPid(server: Server): Promise<number> {
  return (await readStatus(server)).find(({ state }) => state === "loaded")?.pid ?? 0;
}

/** What a plan says of the engine's own memory: mapped weights stand apart. */
export function sumOwn({ plan }: Plan): number {
  const { mappedBytes: _, ...own } = plan.memory.host;
  return Object.values(own).reduce((sum, part) => sum + part, 0);
}

/** How far from its plan a load may be. */
export function boundOf(plannedBytes: number): number {
  return Math.max(SHARE * plannedBytes, SLACK_BYTES);
}

/** The most of its own memory that the process ever had while the work went on. */
export async function watchPeak(pid: number, work: Promise<unknown>): Promise<number> {
  let [peak, isOver] = [readRssAnon(pid), false];
  const end = () => {
    isOver = true;
  };
  void work.then(end, end);
  while (!isOver) {
    peak = Math.max(peak, readRssAnon(pid));
    await Bun.sleep(LOOK_MS);
  }
  return peak;
}
