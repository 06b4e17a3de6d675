// A download's events as Ollama's lines of JSON. Of lines that nobody has read yet about one file, the last one stays.

import type { PullEvent } from "../../hub/hub.ts";
import type { AppError } from "../../protocol/errors.ts";
import type { ConversionJob } from "../../router/conversions/conversions.ts";
import type { FramePiece, FrameSource } from "../frame-stream.ts";
import { encodeOllamaError } from "./errors.ts";
import type { OllamaPullReply } from "./reply-schema.ts";

export class PullLines implements FrameSource {
  readonly contentType = "application/x-ndjson";
  /** White space before a line's JSON: every parser takes it. */
  readonly keepAlive = " ";
  readonly abandon: (reason: AppError) => void;
  #lines: object[] = [];
  /** The file that the last line is about; null: none. */
  #lastFile: string | null = null;
  #ended = false;
  #wake: () => void = () => {};

  constructor(abandon: (reason: AppError) => void) {
    this.abandon = abandon;
  }

  open(): string {
    return "";
  }

  push(event: PullEvent): void {
    this.#add(encodePullEvent(event), event.type === "progress" ? event.file : null);
  }

  /** Of what is made of the files. */
  tell(job: ConversionJob): void {
    this.#add(encodeConversion(job), `conversion ${job.phase}`);
  }

  #add(lines: OllamaPullReply[], file: string | null): void {
    if (lines.length === 0) return;
    if (file !== null && file === this.#lastFile) this.#lines.pop();
    this.#lines.push(...lines);
    this.#lastFile = file;
    this.#wake();
  }

  /** `error`: why it failed; null: it did not. */
  end(error: AppError | null): void {
    this.#lines.push(error === null ? PULL_SUCCESS : encodeOllamaError(error.toBody()));
    this.#ended = true;
    this.#wake();
  }

  async next(): Promise<FramePiece> {
    if (this.#lines.length === 0 && !this.#ended) {
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      await woken.promise;
    }
    const text = this.#lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    this.#lines = [];
    this.#lastFile = null;
    return { text, ended: this.#ended };
  }
}

export const PULL_SUCCESS: OllamaPullReply = { status: "success" };

function encodePullEvent(event: PullEvent): OllamaPullReply[] {
  switch (event.type) {
    case "planned":
      return [{ status: "pulling manifest" }];
    case "progress": {
      const { file, sha256, doneBytes, totalBytes } = event;
      const amounts = { total: totalBytes, completed: doneBytes };
      if (sha256 === null) return [{ status: `pulling ${file}`, ...amounts }];
      return [{ status: `pulling ${sha256.slice(0, 12)}`, digest: `sha256:${sha256}`, ...amounts }];
    }
    case "waiting":
      return [{ status: `waiting ${Math.ceil(event.waitMs / 1000)} s: ${event.why}` }];
    case "restarting":
      return [{ status: `beginning anew: ${event.why}` }];
    case "verifying":
      return [{ status: "verifying sha256 digest" }];
    case "done":
      return event.wasThere ? [] : [{ status: "writing manifest" }];
  }
}

function encodeConversion({ state, phase, outType, doneBytes, totalBytes }: ConversionJob): OllamaPullReply[] {
  if (state === "queued") return [{ status: "waiting for other conversions" }];
  if (state !== "running") return [];
  const status = `${phase === "quantize" ? "quantizing" : "converting"} to ${outType.toUpperCase()}`;
  return [totalBytes === null ? { status } : { status, total: totalBytes, completed: doneBytes }];
}
