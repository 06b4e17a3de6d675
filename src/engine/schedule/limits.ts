// What the engine may use now of what it was loaded with. The server lowers it when the machine is short of something, and
// gives it back. Nobody is ended for it: who runs goes on, and what has to leave memory is written first (upkeep.ts).

import type { EngineLimits } from "../../protocol/messages.ts";
import type { EngineStats, LoadedModelInfo } from "../../protocol/model-info.ts";

/** As it was loaded. */
type Loaded = Pick<LoadedModelInfo, "batchSize" | "parallel" | "retainedMax">;

export class Limits {
  readonly #loaded: Loaded;
  readonly #checkpointBytesMax: number;
  #promptRows: number;
  #places: number;
  #cacheShare = 1;

  constructor(loaded: Loaded, checkpointBytesMax: number) {
    this.#loaded = loaded;
    this.#checkpointBytesMax = checkpointBytesMax;
    this.#promptRows = loaded.batchSize;
    this.#places = loaded.parallel;
  }

  /** At least one row and one place, at most what was loaded. */
  set({ promptRows, places, cacheShare }: EngineLimits): void {
    this.#promptRows = Math.max(1, Math.min(promptRows, this.#loaded.batchSize));
    this.#places = Math.max(1, Math.min(places, this.#loaded.parallel));
    this.#cacheShare = Math.max(0, Math.min(cacheShare, 1));
  }

  /** Rows of a batch in which so many sequences decode: they ride whatever the limit. */
  batchRows(decodeRows: number): number {
    return Math.min(this.#loaded.batchSize, this.#promptRows + decodeRows);
  }

  /** Any of them is less than what was loaded. */
  get areLowered(): boolean {
    const { batchSize, parallel } = this.#loaded;
    return this.#promptRows < batchSize || this.#places < parallel || this.#cacheShare < 1;
  }

  get promptRows(): number {
    return this.#promptRows;
  }

  get places(): number {
    return this.#places;
  }

  /** Ended sequences that may stay; more are there until they are written. */
  get retained(): number {
    return Math.floor(this.#loaded.retainedMax * this.#cacheShare);
  }

  get checkpointBytes(): number {
    return Math.floor(this.#checkpointBytesMax * this.#cacheShare);
  }

  describe(): EngineStats["limits"] {
    const { promptRows, places, retained, checkpointBytes } = this;
    return { promptRows, places, retained, checkpointBytes };
  }
}
