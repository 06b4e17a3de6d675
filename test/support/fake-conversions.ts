// Stands in for conversions: each is over at once, or as the test lets it end.

import type { ConversionResult } from "../../src/protocol/conversion.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { ConversionJob, ConversionRequest, ConversionService } from "../../src/router/conversions/conversions.ts";

export class FakeConversions implements ConversionService {
  refusal: AppError | null = null;
  /** Thrown by the outcome. */
  failure: AppError | null = null;
  readonly asked: Omit<ConversionRequest, "folder">[] = [];
  readonly jobs: ConversionJob[] = [];

  start(request: Omit<ConversionRequest, "folder">): ConversionJob {
    this.asked.push(request);
    if (this.refusal !== null) throw this.refusal;
    const job: ConversionJob = {
      id: `job-${this.jobs.length}`,
      source: request.label,
      state: "running",
      outType: request.outType,
      file: null,
      phase: null,
      doneBytes: 0,
      totalBytes: null,
      askedAt: 1,
      endedAt: null,
      notes: [],
      error: null,
    };
    this.jobs.push(job);
    return job;
  }

  async outcome(id: string): Promise<ConversionResult> {
    const job = this.get(id);
    if (this.failure !== null) throw this.failure;
    Object.assign(job, { state: "done", endedAt: 2, file: "m-F16.gguf" });
    return { target: "/models/m-F16.gguf", outType: "f16", architecture: "llama", bytes: 1, notes: [] };
  }

  list(): ConversionJob[] {
    return this.jobs;
  }

  get(id: string): ConversionJob {
    const job = this.jobs.find((candidate) => candidate.id === id);
    if (job === undefined) throw new AppError({ code: "not_found", message: `there is no conversion ${id}` });
    return job;
  }

  /** Told one after the other by `prepare`. */
  steps: Partial<ConversionJob>[] = [];
  readonly prepared: string[] = [];

  async prepare(folder: string, signal: AbortSignal, onChange: (job: ConversionJob) => void): Promise<void> {
    this.prepared.push(folder);
    const job = this.start({ label: folder, source: folder, outType: "bf16", name: null });
    for (const step of this.steps) {
      onChange(Object.assign(job, step));
      await new Promise((resolve) => setImmediate(resolve));
      if (signal.aborted) throw new AppError({ code: "cancelled", message: "nobody waits for it" });
    }
    if (this.failure !== null) throw this.failure;
  }

  async cancel(id: string): Promise<ConversionJob> {
    const job = this.get(id);
    const error = { code: "cancelled" as const, message: "It was cancelled." };
    return Object.assign(job, { state: "cancelled", endedAt: 2, error });
  }
}
