// What a plan may choose, best first. The order depends on the model, on what was asked for and on how many devices there
// are, never on how much memory: the first choice that fits is then never worse with more of it. In which order comforts and
// placements are combined is grid.ts'. Pure.

import { automaticContextLength } from "../../protocol/model-info.ts";
import type { AskedSettings, PlanGoal, PlanQuestion, PlanSettings, PlanSubject } from "./plan.ts";
import { sumNeed } from "./room.ts";

/** All settings but how devices share the layers, which depends on their memory. */
export type Choice = Omit<PlanSettings, "deviceShares">;

type Step = { [K in "microBatchSize" | "parallel" | "retainedMax" | "contextLength"]?: number } & {
  /** Of the standard. */
  checkpointShare?: number;
  draft?: false;
};

const MIB = 1024 * 1024;
const STANDARD_BATCH = 2048;
const STANDARD_MICRO_BATCH = 512;
const STANDARD_RETAINED = 64;
/** As the engine has them where nobody says it (engine/llama/context-plan.ts); here each place of a recurrent memory costs a state. */
const STANDARD_PARALLEL = 64;
const STANDARD_PARALLEL_RECURRENT = 4;
/** Beside so many streams more of them hardly make a row cheaper. */
const THROUGHPUT_PARALLEL = 128;
const LATENCY_PARALLEL = 4;
/** Of seq-ids that llama.cpp has, but for the engine's own. */
const SEQUENCES_MAX = 255;
/** An agent's prompt with its tools; below, only what can't run otherwise goes. */
const DECENT_CONTEXT = 4096;
/** The least that holds a question and an answer. */
const CONTEXT_MIN = 512;
const CHECKPOINT_BYTES = 1024 * MIB;
const CHECKPOINT_BYTES_MIN = 64 * MIB;
/** Of all that the model takes. */
const SAVING_MIN = 0.001;

const MICRO_BATCHES: readonly Step[] = [{ microBatchSize: 256 }, { microBatchSize: 128 }, { microBatchSize: 64 }];
const STREAMS: readonly Step[] = [{ parallel: 16 }, { parallel: 8 }, { parallel: 4 }];
const CACHES: readonly Step[] = [
  { checkpointShare: 0.25 },
  { checkpointShare: 0 },
  { retainedMax: 16 },
  { retainedMax: 4 },
];
const LAST: readonly Step[] = [{ draft: false }, { parallel: 2 }, { parallel: 1 }, { retainedMax: 0 }];

/** What goes first is missed least: batches cost prompts some time, streams and caches make others wait, a context ends. */
const ORDERS: Readonly<Record<PlanGoal, readonly ("batches" | "streams" | "caches" | "contexts")[]>> = {
  balanced: ["batches", "streams", "caches", "contexts"],
  latency: ["streams", "caches", "contexts", "batches"],
  throughput: ["caches", "contexts", "batches", "streams"],
  memory: ["batches", "streams", "caches", "contexts"],
};

/** What is taken where there is memory enough. */
export function standardChoice({ subject, machine, asked, policy }: PlanQuestion): Choice {
  const { goal } = policy;
  const automatic = automaticContextLength(subject.trainedContextLength);
  const contextLength = goal === "memory" ? Math.min(automatic, DECENT_CONTEXT) : automatic;
  const usual = subject.isRecurrent ? STANDARD_PARALLEL_RECURRENT : STANDARD_PARALLEL;
  const most = {
    balanced: usual,
    latency: LATENCY_PARALLEL,
    throughput: THROUGHPUT_PARALLEL,
    memory: LATENCY_PARALLEL,
  };
  const parallel = subject.isRecurrent ? Math.min(usual, most[goal]) : most[goal];
  const small = goal === "memory";
  const checkpointBytes = subject.hasCheckpoints ? (small ? CHECKPOINT_BYTES_MIN : CHECKPOINT_BYTES) : 0;
  return harmonize(subject, asked, {
    contextLength,
    parallel,
    retainedMax: small ? LATENCY_PARALLEL : STANDARD_RETAINED,
    batchSize: STANDARD_BATCH,
    microBatchSize: small ? 128 : STANDARD_MICRO_BATCH,
    threads: machine.cores,
    // Never less by itself: what it loses is not seen before it is too late.
    kvType: "f16",
    gpuLayers: machine.devices.length === 0 ? 0 : subject.layers + 1,
    hostExpertLayers: 0,
    checkpointBytes,
    draft: subject.hasDraft,
    ...present(asked),
  });
}

/** What is asked for stays; the others are made to go with it, and with each other. */
function harmonize(subject: PlanSubject, asked: AskedSettings, choice: Choice): Choice {
  const parallel = asked.parallel ?? Math.min(choice.parallel, SEQUENCES_MAX - (asked.retainedMax ?? 0));
  const kept = Math.min(choice.retainedMax, SEQUENCES_MAX - parallel);
  const retainedMax = asked.retainedMax ?? (subject.isRecurrent ? Math.min(kept, parallel) : kept);
  const batchSize = asked.batchSize ?? Math.max(choice.batchSize, asked.microBatchSize ?? 0);
  const microBatchSize = asked.microBatchSize ?? Math.min(choice.microBatchSize, batchSize);
  return { ...choice, parallel, retainedMax, batchSize, microBatchSize };
}

/** Without `deviceShares`, which is no matter of choices, and without what is undefined. */
function present({ deviceShares: _shares, ...asked }: AskedSettings): Partial<Choice> {
  return Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
}

export interface Comforts {
  decent: Choice[];
  /** With what nobody would choose who has another way. */
  last: Choice[];
}

/** From the standard down, each with one thing less than the one before it. */
export function listComforts(question: PlanQuestion): Comforts {
  const standard = standardChoice(question);
  if (!question.policy.automatic) return { decent: [standard], last: [] };
  const contexts = (from: number, to: number): Step[] => {
    const steps: Step[] = [];
    for (let length = from; length > to; ) {
      length = Math.max(to, Math.floor(length / 2));
      steps.push({ contextLength: length });
    }
    return steps;
  };
  const byName = {
    batches: MICRO_BATCHES,
    streams: STREAMS,
    caches: CACHES,
    contexts: contexts(standard.contextLength, Math.min(standard.contextLength, DECENT_CONTEXT)),
  };
  const steps = ORDERS[question.policy.goal].flatMap((name) => byName[name]);
  const decent = takeSteps(question, standard, steps);
  const lowest = decent.at(-1) ?? standard;
  const short = contexts(lowest.contextLength, Math.min(lowest.contextLength, CONTEXT_MIN));
  return { decent, last: takeSteps(question, lowest, [...LAST, ...short]).slice(1) };
}

/** `from` first. A step that changes nothing, because it was asked for or is lower already, is none; one that saves nothing, too. */
function takeSteps(question: PlanQuestion, from: Choice, steps: readonly Step[]): Choice[] {
  const { subject, asked } = question;
  const choices = [from];
  let now = from;
  for (const { checkpointShare, draft, ...numbers } of steps) {
    const lowered = { ...now };
    for (const [name, value] of Object.entries(numbers) as [keyof typeof numbers, number][]) {
      if (asked[name] === undefined) lowered[name] = Math.min(lowered[name], value);
    }
    if (checkpointShare !== undefined && asked.checkpointBytes === undefined && subject.hasCheckpoints) {
      const bytes = Math.max(CHECKPOINT_BYTES_MIN, CHECKPOINT_BYTES * checkpointShare);
      lowered.checkpointBytes = Math.min(lowered.checkpointBytes, bytes);
    }
    if (draft === false && asked.draft === undefined) lowered.draft = false;
    const next = harmonize(subject, asked, lowered);
    if (JSON.stringify(next) === JSON.stringify(now) || !saves(question, now, next)) continue;
    choices.push(next);
    now = next;
  }
  return choices;
}

/** Kept prompts cost a plain attention nothing, and a model of 70B hardly notices its streams: such things stay as they are. */
function saves({ subject, machine }: PlanQuestion, now: Choice, next: Choice): boolean {
  const onHost = { gpuLayers: 0, hostExpertLayers: 0, deviceShares: machine.devices.map(() => 0) };
  const bytes = sumNeed(subject.needOf({ ...now, ...onHost }));
  return bytes - sumNeed(subject.needOf({ ...next, ...onHost })) > bytes * SAVING_MIN;
}

export type Placement = Pick<Choice, "gpuLayers" | "hostExpertLayers">;

/** Most on the devices first. Experts leave before layers do: they are most of the bytes, and few of them work at a time. */
export function listPlacements({ subject, machine, asked, policy }: PlanQuestion): Placement[] {
  const full = subject.layers + 1;
  if (machine.devices.length === 0)
    return [{ gpuLayers: asked.gpuLayers ?? 0, hostExpertLayers: asked.hostExpertLayers ?? 0 }];
  const layers = asked.gpuLayers === undefined ? descend(full, 0) : [asked.gpuLayers];
  const experts = asked.hostExpertLayers === undefined ? ascend(subject.expertLayers) : [asked.hostExpertLayers];
  const [most = 0, ...fewer] = layers;
  const all = experts.at(-1) ?? 0;
  const placements = [
    ...experts.map((hostExpertLayers) => ({ gpuLayers: most, hostExpertLayers })),
    ...fewer.map((gpuLayers) => ({
      gpuLayers,
      hostExpertLayers: gpuLayers === 0 ? (asked.hostExpertLayers ?? 0) : all,
    })),
  ];
  return policy.automatic ? placements : placements.slice(0, 1);
}

const descend = (from: number, to: number): number[] => Array.from({ length: from - to + 1 }, (_, i) => from - i);
const ascend = (to: number): number[] => Array.from({ length: to + 1 }, (_, i) => i);
