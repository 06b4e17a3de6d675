// A model as the registry knows it: its files and what their headers say. Not a loaded model.

import { AppError, type ErrorBody } from "../protocol/errors.ts";
import type { EngineChanges, ModelSettings } from "../protocol/model-settings.ts";
import type { Companion } from "./companion.ts";
import type { FoundPlace } from "./found.ts";
import type { ModelManifest } from "./manifest.ts";
import type { Described } from "./model-file/described.ts";

export interface ModelEntry extends ModelManifest {
  id: string;
  /** Other names that resolve to it. */
  aliases: string[];
  /** Those of the aliases that a person gave: in the configuration, or with a copy. */
  givenNames: string[];
  /** The file to load: the first part of a split model. Absolute. */
  path: string;
  /** All parts, first part first. */
  files: string[];
  /** Seconds since the epoch: the newest modification time of its files; 0 when unknown. */
  created: number;
  sizeBytes: number;
  /** Files that go with it and are no models of their own. */
  companions: readonly Companion[];
  /** Why it can't be served. Kept as an entry so that a request gets this and not "unknown model". */
  error: ErrorBody | null;
  /** Named by `--model`, in contrast to found in a folder. */
  explicit: boolean;
  /** Of a folder of weights: the GGUF file that was made of it; null when it is not made yet. Null: it is served as it is. */
  conversion: { file: string | null } | null;
  /** The embedded demo model: listings label it. */
  demo: boolean;
  place: FoundPlace;
  /** What its model file says; null: none describes it. */
  described: Described | null;
  /** How it is run, where that is not as the server's settings say. */
  settings: ModelSettings;
  /** Models with the same one can share an engine: their file, and what shapes an engine. */
  engineKey: string;
  /** Its engine is not put to sleep. */
  pinned: boolean;
}

/** Of a file, and what shapes its engine otherwise than the server's settings. */
export function engineKeyOf(path: string, engine: EngineChanges): string {
  return Object.keys(engine).length === 0 ? path : `${path}\n${JSON.stringify(engine)}`;
}

/** Throws the entry's error, if it has one. Call it before an engine is started. */
export function assertServable(entry: ModelEntry): void {
  if (entry.error !== null) throw new AppError(entry.error);
}
