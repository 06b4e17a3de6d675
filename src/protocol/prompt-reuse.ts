// A prompt that several requests have goes to an engine once: a `generate` whose prompt is the very object of the one
// before it is sent without it. Both ends count on the order of messages alone, so nothing has to be agreed or freed.

import type { GenerationRequest, Prompt } from "./generation.ts";
import type { ToEngine } from "./messages.ts";

/** The server's end, one for each engine. */
export class PromptSender {
  readonly #send: (message: ToEngine) => void;
  /** Weak: a long prompt need not stay in memory for a request that may never come. */
  #last: WeakRef<Prompt> | null = null;

  constructor(send: (message: ToEngine) => void) {
    this.#send = send;
  }

  send(message: ToEngine): void {
    if (message.type !== "generate") {
      this.#send(message);
      return;
    }
    const { prompt, ...rest } = message.request;
    if (this.#last?.deref() === prompt) {
      this.#send({ type: "generate-again", id: message.id, request: rest });
      return;
    }
    // What could not be sent, because it is over the frame's limit, is not there to be meant again.
    this.#send(message);
    this.#last = new WeakRef(prompt);
  }
}

/** What an engine is told, whole. */
export type Expanded = Exclude<ToEngine, { type: "generate-again" }>;

/** The engine's end. */
export class PromptReceiver {
  #last: Prompt | null = null;

  /** The message as it was before the sender shortened it. */
  expand(message: ToEngine): Expanded {
    if (message.type === "generate") this.#last = message.request.prompt;
    if (message.type !== "generate-again") return message;
    if (this.#last === null) throw new Error("the server means a prompt that it has not sent");
    const request: GenerationRequest = { ...message.request, prompt: this.#last };
    return { type: "generate", id: message.id, request };
  }
}
