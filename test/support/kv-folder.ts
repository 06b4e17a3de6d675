// A folder of KV files for tests, with the stores that engines open over it one after the other.

import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Backend } from "../../src/engine/backend.ts";
import { KvStore, type KvStoreOptions } from "../../src/engine/disk/kv-store.ts";
import type { Clock } from "../../src/lib/clock.ts";

/** Short slices, so that short prompts have some. */
export const TEST_SLICE_TOKENS = 8;

export class KvFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "mlo-kv-"));
  readonly warnings: string[] = [];

  /** What EngineRun's `store` option takes. */
  opener(changes: Partial<KvStoreOptions> = {}): (backend: Backend, clock: Clock) => KvStore {
    const warn = (message: string): number => this.warnings.push(message);
    const options = {
      folder: this.path,
      modelKey: "model",
      bytesMax: 1e9,
      sliceTokens: TEST_SLICE_TOKENS,
      quietMs: 0,
      warn,
    };
    return (backend, clock) => new KvStore(backend, clock, { ...options, ...changes });
  }

  /** Paths of all files of a model, in order of their place in the chain. */
  files(modelKey = "model"): string[] {
    const depthOf = (file: string): number => Number(/-(\d+)(\+\d+)?\.kv$/.exec(file)?.[1] ?? 0);
    const files = readdirSync(join(this.path, modelKey)).toSorted((a, b) => depthOf(a) - depthOf(b));
    return files.map((file) => join(this.path, modelKey, file));
  }

  /** Writes something else where a file was. */
  replace(path: string, change: (text: string) => string): void {
    writeFileSync(path, change(readFileSync(path, "utf8")));
  }

  [Symbol.dispose](): void {
    chmodSync(this.path, 0o700);
    rmSync(this.path, { recursive: true, force: true });
  }
}
