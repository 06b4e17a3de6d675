// Files that are no models of their own: projectors, draft models, LoRA adapters. They go to the models that they are
// for, as metadata or names tell; without one they stay entries of their own, which say why they can't be served. Pure.

import { basename, dirname } from "node:path";
import type { FoundModel } from "./found.ts";
import { type CompanionKind, familyOf, namesDraft, normalizeName } from "./lineage.ts";
import type { ManifestResult } from "./manifest.ts";

export interface Companion {
  kind: CompanionKind;
  /** The file's name without its extension. */
  name: string;
  /** Absolute. */
  path: string;
  sizeBytes: number;
}

export interface ReadModel extends ManifestResult {
  found: FoundModel;
}

export interface WithCompanions {
  model: ReadModel;
  companions: Companion[];
}

/** A shorter name begins too many others to mean one of them. */
const FAMILY_CHARS_MIN = 3;

/** In the order given. What a person named or described stays, whatever it is. */
export function attachCompanions(read: readonly ReadModel[]): WithCompanions[] {
  const roles = read.map((model) => ({ model, kind: kindOf(model) }));
  const bases = roles
    .filter(({ model, kind }) => kind === null && model.error === null)
    .map(({ model }) => ({ model, companions: [] as Companion[], family: familyOf(basename(pathOf(model))) }));
  const left: ReadModel[] = [];
  for (const { model, kind } of roles) {
    const targets =
      kind === null || model.found.explicit || model.found.description !== null ? [] : findBases(model, kind, bases);
    if (kind === null || targets.length === 0) left.push(model);
    else for (const target of targets) target.companions.push(toCompanion(model, kind));
  }
  const byModel = new Map(bases.map((base) => [base.model, base.companions]));
  return left.map((model) => ({ model, companions: byModel.get(model) ?? [] }));
}

/** Null: a model. A whole model is a draft when its name says so. */
function kindOf({ found, lineage, error }: ReadModel): CompanionKind | null {
  if (lineage.role !== "model") return lineage.role;
  return error === null && namesDraft(basename(found.files[0] ?? "")) ? "draft" : null;
}

export function toCompanion({ found }: ReadModel, kind: CompanionKind): Companion {
  const path = found.files[0] ?? "";
  return { kind, name: basename(path).replace(/\.gguf$/i, ""), path, sizeBytes: found.sizeBytes };
}

interface Base {
  model: ReadModel;
  companions: Companion[];
  family: string;
}

function findBases(companion: ReadModel, kind: CompanionKind, bases: readonly Base[]): Base[] {
  const fits = ({ model }: Base): boolean =>
    kind !== "adapter" || model.manifest.architecture === companion.manifest.architecture;
  const able = bases.filter(fits);
  const told = able.filter(({ model, family }) => {
    const names = [...model.lineage.names, family, normalizeName((model.found.repo ?? "").split("/").at(-1) ?? "")];
    return companion.lineage.bases.some((base) => names.includes(base));
  });
  if (told.length > 0) return told;
  const near = able.filter(({ model }) => isNear(model.found, companion.found));
  const family = familyOf(basename(pathOf(companion)));
  const related = near.filter((base) => isRelated(base.family, family));
  if (related.length > 0) return related;
  // A bare `mmproj-F16.gguf` goes with its folder's model, if that is one model in one or several quantisations.
  const isOne = new Set(near.map((base) => base.family)).size === 1;
  const isOfRepo = companion.found.repo !== null;
  return isOne && (family === "" || (isOfRepo && kind === "projector")) ? near : [];
}

function isNear(a: FoundModel, b: FoundModel): boolean {
  return (a.repo !== null && a.repo === b.repo) || dirname(a.files[0] ?? "") === dirname(b.files[0] ?? "");
}

function isRelated(a: string, b: string): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  return short.length >= FAMILY_CHARS_MIN && long.startsWith(short);
}

function pathOf({ found }: ReadModel): string {
  return found.files[0] ?? "";
}
