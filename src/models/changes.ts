// What people change about models while the server runs: further names, other names, pins, removals. Decides what is allowed;
// the registry's listing shows the result.

import { AppError } from "../protocol/errors.ts";
import { type AliasStore, checkAlias } from "./alias.ts";
import type { ModelEntry } from "./entry.ts";
import { isReservedName } from "./name.ts";
import { type Removal, removeModel } from "./removal.ts";
import { renameModel } from "./rename.ts";

export interface ChangeOptions {
  copies?: AliasStore;
  pins?: AliasStore;
  ownFolder?: string;
}

/** The registry as it is needed here. */
export interface ChangedRegistry {
  resolve(name: string): ModelEntry;
  /** What has this name already. */
  findName(name: string): ModelEntry | null;
  rescan(whole?: readonly string[]): void;
}

export interface Renamed {
  /** As it is listed now. */
  id: string;
  /** The file's old path; null: no file was renamed. */
  path: string | null;
}

export class ModelChanges {
  readonly #options: ChangeOptions;
  readonly #registry: ChangedRegistry;

  constructor(options: ChangeOptions, registry: ChangedRegistry) {
    this.#options = options;
    this.#registry = registry;
  }

  addAlias(model: string, alias: string): void {
    const entry = this.#registry.resolve(model);
    this.#requireCopies(alias, "destination", true).set(alias, entry.id);
    this.#registry.rescan();
  }

  remove(name: string): Removal {
    const { copies, pins, ownFolder = null } = this.#options;
    if (copies?.delete(name) === true) {
      this.#registry.rescan();
      return { kind: "name", path: null };
    }
    const entry = this.#requireById(name, "delete its file");
    const removal = removeModel(entry, ownFolder);
    pins?.delete(entry.id);
    this.#registry.rescan();
    return removal;
  }

  rename(model: string, name: string): Renamed {
    const { copies, ownFolder = null } = this.#options;
    const target = copies?.entries().get(model);
    if (copies !== undefined && target !== undefined) {
      this.#requireCopies(name, "name", false).set(name, target);
      copies.delete(model);
      this.#registry.rescan();
      return { id: name, path: null };
    }
    const entry = this.#requireById(model, "rename its file");
    this.#assertFree(name, "name", false);
    const files = renameModel(entry, name, ownFolder);
    this.#registry.rescan(files);
    const { id, path } = this.#registry.resolve(name);
    this.#follow(entry.id, id, path);
    return { id, path: entry.path };
  }

  pin(model: string, pinned: boolean): ModelEntry {
    const { id, path } = this.#registry.resolve(model);
    if (pinned) this.#options.pins?.set(id, path);
    else this.#options.pins?.delete(id);
    this.#registry.rescan();
    return this.#registry.resolve(id);
  }

  /** What was said of the old id holds for the new one, whose file it now is. */
  #follow(old: string, id: string, path: string): void {
    const { copies, pins } = this.#options;
    for (const [alias, target] of [...(copies?.entries() ?? [])]) {
      if (target === old) copies?.set(alias, id);
    }
    if (pins?.delete(old) === true) pins.set(id, path);
    this.#registry.rescan();
  }

  #requireById(name: string, toDo: string): ModelEntry {
    const entry = this.#registry.resolve(name);
    if (entry.id === name) return entry;
    const message = `${JSON.stringify(name)} is another name of ${entry.id}, and not one that was copied`;
    throw new AppError({ code: "forbidden", message, hint: `Name ${entry.id} to ${toDo}.`, param: "model" });
  }

  #requireCopies(name: string, param: string, replaces: boolean): AliasStore {
    this.#assertFree(name, param, replaces);
    if (this.#options.copies !== undefined) return this.#options.copies;
    throw nameTaken(name, param);
  }

  /** `replaces`: a name that was copied may get another meaning. */
  #assertFree(name: string, param: string, replaces: boolean): void {
    checkAlias(name, param);
    const isCopy = replaces && this.#options.copies?.entries().has(name) === true;
    if (isReservedName(name) || (!isCopy && this.#registry.findName(name) !== null)) throw nameTaken(name, param);
  }
}

function nameTaken(name: string, param: string): AppError {
  const message = `\`${param}\` can't be ${JSON.stringify(name)}: the name means something already`;
  return new AppError({ code: "invalid_request", message, hint: "Choose another name.", param });
}
