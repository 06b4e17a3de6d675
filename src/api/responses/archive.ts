// Responses between the API and the state: what is stored of one, when, and what comes back. Storing must not cost an
// answer: one that can't be stored is given all the same, and says so.

import type { Logger } from "../../lib/log.ts";
import { codeOf } from "../../lib/system-error.ts";
import { AppError, toAppError } from "../../protocol/errors.ts";
import type { StoredResponse } from "../../state/response-store.ts";
import type { State } from "../../state/state.ts";
import type { ResponseBuilder } from "./builder.ts";
import { toItem, toStored } from "./context.ts";
import type { ResponsePlan } from "./plan.ts";
import type { OutputItem, ResponseEvent, ResponseReply } from "./reply-schema.ts";

export interface ArchivedResponse {
  reply: ResponseReply;
  /** The packed events of its stream. */
  events: Uint8Array | null;
}

export class ResponseArchive {
  readonly #state: State;
  readonly #log: Logger;

  constructor(state: State, log: Logger) {
    this.#state = state;
    this.#log = log;
  }

  /** Throws `storage_unavailable`. */
  create(plan: ResponsePlan, reply: ResponseReply): void {
    this.#state.responses.save(toRecord(plan, reply, null), plan.context.input.map(toStored));
  }

  /** What a response in the foreground says at its end, when it is stored as far as it wants that. */
  settle(plan: ResponsePlan, builder: ResponseBuilder): ResponseEvent[] {
    const { status } = builder;
    // Who left has no use for it, and an answer in one piece that fails is an error that names no response.
    const isWanted = status !== "cancelled" && (status !== "failed" || !plan.inOnePiece);
    if (plan.reply.store && isWanted) {
      const problem = this.save(plan, builder.reply, null);
      if (problem !== null) builder.disown(problem);
    }
    return builder.end();
  }

  /** With its input, and its conversation grown by it. Returns why it could not be done. */
  save(plan: ResponsePlan, reply: ResponseReply, events: Uint8Array | null): string | null {
    const { input, conversationId } = plan.context;
    try {
      this.#state.responses.save(toRecord(plan, reply, events), input.map(toStored));
      const isComplete = reply.status === "completed" || reply.status === "incomplete";
      if (conversationId === null || !isComplete) return null;
      const added = this.#state.conversations.append(conversationId, [...input, ...reply.output].map(toStored));
      if (!added) this.#log.info("a conversation was deleted while it was answered", { id: conversationId });
      return null;
    } catch (thrown) {
      const { message } = toAppError(thrown);
      this.#log.warn("a response was not stored", { id: reply.id, reason: message });
      return message;
    }
  }

  /** Throws `not_found`. */
  read(id: string): ArchivedResponse {
    const stored = this.#state.responses.read(id);
    if (stored === null) throw noResponse(id);
    const reply = toReply(stored);
    const isOpen = reply.status === "queued" || reply.status === "in_progress";
    // Its server is gone, or this one, and it did not come to an end there.
    if (isOpen && (stored.pid === process.pid || !isRunning(stored.pid))) {
      reply.status = "failed";
      const message = "the server that computed this response ended before it was complete";
      reply.error = { code: "server_error", message, hint: "Send the request again." };
    }
    return { reply, events: stored.events };
  }

  /** Throws `not_found`. */
  delete(id: string): void {
    if (!this.#state.responses.delete(id)) throw noResponse(id);
  }
}

export function noResponse(id: string): AppError {
  const message = `there is no response ${JSON.stringify(id.slice(0, 200))}`;
  const hint = "It was not stored, was deleted, or was unused for long.";
  return new AppError({ code: "not_found", message, hint, param: "response_id" });
}

function toRecord(plan: ResponsePlan, reply: ResponseReply, events: Uint8Array | null): StoredResponse {
  const { output, ...body } = reply;
  return {
    id: reply.id,
    createdMs: reply.created_at * 1000,
    status: reply.status,
    pid: process.pid,
    previousId: reply.previous_response_id,
    session: plan.session,
    body,
    output: output.map(toStored),
    events,
  };
}

function toReply({ body, output }: StoredResponse): ResponseReply {
  return { ...(body as unknown as ResponseReply), output: output.map(toItem) as OutputItem[] };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    // Another user's process may not be signalled, but is there.
    return codeOf(thrown) === "EPERM";
  }
}
