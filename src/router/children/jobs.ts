// One-shot native children: they answer one question and end, so that a crash or an abort never lands in the server.

import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { ErrorBody } from "../../protocol/errors.ts";
import { type JobAnswer, type JobQuestion, PROTOCOL_VERSION } from "../../protocol/messages.ts";
import { spawnChild } from "./child.ts";

/** A self-test takes well under a second on a slow machine; one that hangs counts as failed. */
const JOB_MS_MAX = 60_000;

export type JobResult =
  | { kind: "answer"; answer: JobAnswer }
  /** `error`: the child's own; absent where it died. */
  | { kind: "failed"; reason: string; error?: ErrorBody };

export interface JobOptions {
  /** Null: however long it takes. */
  timeoutMs: number | null;
  /** Kills the child: the result is then a failure, once it is gone. */
  signal?: AbortSignal;
  onProgress?: (share: number) => void;
}

export async function runJob(
  libraryPath: string,
  question: JobQuestion,
  log: Logger,
  clock: Clock,
  { timeoutMs, signal, onProgress }: JobOptions = { timeoutMs: JOB_MS_MAX },
): Promise<JobResult> {
  const finished = Promise.withResolvers<JobResult>();
  const child = await spawnChild(
    libraryPath,
    ["--job", question.job, "--log-level", "debug", "--log-format", "json"],
    log.child({ job: question.job }),
    {
      onFrame({ message }) {
        if (message.type === "answer") finished.resolve({ kind: "answer", answer: message.answer });
        else if (message.type === "progress") onProgress?.(message.fraction);
        else if (message.type === "failed") {
          finished.resolve({ kind: "failed", reason: message.error.message, error: message.error });
        }
      },
      onExit({ code, signal, lastLines }) {
        const how = signal === null ? `code ${code}` : signal;
        finished.resolve({
          kind: "failed",
          reason: [`the child ended with ${how}`, ...lastLines.slice(-2)].join(": "),
        });
      },
    },
  );
  child.send({ type: "ask", version: PROTOCOL_VERSION, question });
  const cancelTimer =
    timeoutMs === null
      ? () => {}
      : clock.after(timeoutMs, () => {
          finished.resolve({ kind: "failed", reason: `no answer within ${timeoutMs / 1000} s` });
          child.kill("SIGKILL");
        });
  const onAbort = (): void => child.kill("SIGKILL");
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener("abort", onAbort);
  try {
    return await finished.promise;
  } finally {
    cancelTimer();
    signal?.removeEventListener("abort", onAbort);
  }
}
