// The steps of a conversion as lines of JSON, for a program that started it.

import type { ConversionLine, ConversionPhase, ConversionResult } from "../../protocol/conversion.ts";
import type { AppError } from "../../protocol/errors.ts";

/** What a person can see; a line for each piece would cost more than writing it. */
const LINE_MS_MIN = 100;

export class ConvertLines {
  readonly #stdout: { write(text: string): unknown };
  readonly #now: () => number;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(stdout: { write(text: string): unknown }, now: () => number) {
    this.#stdout = stdout;
    this.#now = now;
  }

  plan(outType: string, file: string): void {
    this.#write({ type: "planned", outType, file });
  }

  show(doneBytes: number, totalBytes: number, phase: ConversionPhase | null): void {
    if (doneBytes < totalBytes && this.#now() - this.#lastMs < LINE_MS_MIN) return;
    this.#lastMs = this.#now();
    this.#write({ type: "progress", phase, doneBytes, totalBytes });
  }

  finish({ target, outType, architecture, bytes, notes }: ConversionResult): void {
    this.#write({ type: "done", target, outType, architecture, bytes, notes });
  }

  fail(error: AppError): void {
    this.#write({ type: "failed", error: error.toBody() });
  }

  /** Nothing is open between two lines. */
  end(): void {}

  #write(line: ConversionLine): void {
    this.#stdout.write(`${JSON.stringify(line)}\n`);
  }
}
