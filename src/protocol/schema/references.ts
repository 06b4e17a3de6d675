// Finds what a `$ref` points to: within its document, by JSON pointer (RFC 6901), anchor, or the id of a part. Nothing
// is ever fetched. Pure.

import { isSchemaObject, type SchemaObject } from "./relaxation.ts";

export interface Target {
  /** An object, or the booleans that are schemas as well. */
  schema: SchemaObject | boolean;
  path: string;
}

/** Of one document: where its named parts are. */
export class References {
  readonly #root: SchemaObject;
  /** Anchors as `#name`, ids as they stand; null until somebody asks for one, since that is a walk through everything. */
  #named: Map<string, Target> | null = null;

  constructor(root: SchemaObject) {
    this.#root = root;
  }

  /** Null: nothing is there, or it is elsewhere. */
  find(ref: string): Target | null {
    if (ref === "#" || ref.startsWith("#/")) return follow({ schema: this.#root, path: "#" }, ref.slice(1));
    this.#named ??= collectNamed(this.#root);
    const named = this.#named.get(ref);
    if (named !== undefined) return named;
    const at = ref.indexOf("#");
    const base = at < 0 ? ref : ref.slice(0, at);
    const start: Target | undefined = base === "" ? { schema: this.#root, path: "#" } : this.#named.get(base);
    if (start === undefined || at < 0) return start ?? null;
    return follow(start, ref.slice(at + 1));
  }
}

function collectNamed(root: SchemaObject): Map<string, Target> {
  const named = new Map<string, Target>();
  const open: { value: unknown; path: string }[] = [{ value: root, path: "#" }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value, path } = next;
    if (isSchemaObject(value)) note(named, { schema: value, path });
    if (typeof value !== "object" || value === null) continue;
    for (const [key, child] of Object.entries(value)) open.push({ value: child, path: joinPath(path, key) });
  }
  return named;
}

function note(named: Map<string, Target>, target: Target): void {
  const { $id, id, $anchor, $dynamicAnchor } = target.schema as SchemaObject;
  for (const anchor of [$anchor, $dynamicAnchor]) {
    if (typeof anchor === "string") named.set(`#${anchor}`, target);
  }
  // Draft 4 wrote `id`, which is also a common name of properties: those are objects.
  for (const name of [$id, id]) if (typeof name === "string") named.set(name, target);
}

export function joinPath(path: string, ...keys: (string | number)[]): string {
  return keys.reduce<string>(
    (joined, key) => `${joined}/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`,
    path,
  );
}

function follow(start: Target, pointer: string): Target | null {
  let { schema: value, path }: { schema: unknown; path: string } = start;
  for (const token of pointer.split("/").slice(1)) {
    const key = decode(token).replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return null;
    value = (value as Record<string, unknown>)[key];
    path = joinPath(path, key);
  }
  // `#name` that is no anchor.
  if (pointer !== "" && !pointer.startsWith("/")) return null;
  return isSchemaObject(value) || typeof value === "boolean" ? { schema: value, path } : null;
}

/** Pointers in URI fragments are percent-encoded; a stray percent sign stands for itself. */
function decode(token: string): string {
  try {
    return decodeURIComponent(token);
  } catch {
    return token;
  }
}
