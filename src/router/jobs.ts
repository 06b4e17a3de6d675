// One-shot native children: they answer one question and end, so that a crash or an abort never lands in the server.

import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { type JobAnswer, type JobQuestion, PROTOCOL_VERSION } from "../protocol/messages.ts";
import { spawnChild } from "./child.ts";

/** A self-test takes well under a second on a slow machine; one that hangs counts as failed. */
const JOB_MS_MAX = 60_000;

export type JobResult = { kind: "answer"; answer: JobAnswer } | { kind: "failed"; reason: string };

export async function runJob(
  libraryPath: string,
  question: JobQuestion,
  log: Logger,
  clock: Clock,
): Promise<JobResult> {
  const finished = Promise.withResolvers<JobResult>();
  const child = await spawnChild(
    libraryPath,
    ["--job", question.job, "--log-level", "debug", "--log-format", "json"],
    log.child({ job: question.job }),
    {
      onFrame({ message }) {
        if (message.type === "answer") finished.resolve({ kind: "answer", answer: message.answer });
        else if (message.type === "failed") finished.resolve({ kind: "failed", reason: message.error.message });
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
  const cancelTimer = clock.after(JOB_MS_MAX, () => {
    finished.resolve({ kind: "failed", reason: `no answer within ${JOB_MS_MAX / 1000} s` });
    child.kill("SIGKILL");
  });
  try {
    return await finished.promise;
  } finally {
    cancelTimer();
  }
}
