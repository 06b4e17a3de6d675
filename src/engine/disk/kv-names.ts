// Names of the files of kept KV state: by the hash of all tokens up to a state's end, so that the same beginning has the
// same name whoever had it. Which files there are is not its business.

/** A state's name and its place in the chain of slices. */
export interface SliceName {
  hash: string;
  /** Hash of the whole slice before it, or the chain's root. */
  parent: string;
  /** Whole slices up to its end. */
  depth: number;
  /**
   * Absent: a whole slice. Else the end of a sequence or a checkpoint: the recurrent state so many tokens after the last
   * whole slice, with the cells of attention of these tokens where the model has such.
   */
  extra?: number;
}

/** Names of all whole slices of these tokens. `root`: `root`, or a hash of what else they hang on (see AdapterSet). */
export function nameSlices(tokens: Int32Array, sliceTokens: number, root: string): SliceName[] {
  const names: SliceName[] = [];
  let parent = root;
  for (let end = sliceTokens; end <= tokens.length; end += sliceTokens) {
    const hash = hashOf(parent, tokens.subarray(end - sliceTokens, end), "");
    names.push({ hash, parent, depth: end / sliceTokens });
    parent = hash;
  }
  return names;
}

/** The name of the state after all of these tokens. `slices`: the names of their whole slices. */
export function nameEnd(
  tokens: Int32Array,
  slices: readonly SliceName[],
  sliceTokens: number,
  root: string,
): SliceName {
  const parent = slices.at(-1)?.hash ?? root;
  const left = tokens.subarray(slices.length * sliceTokens);
  return { hash: hashOf(parent, left, "end"), parent, depth: slices.length, extra: left.length };
}

/** Tokens up to its end. */
export function tokensUpTo({ depth, extra }: SliceName, sliceTokens: number): number {
  return depth * sliceTokens + (extra ?? 0);
}

function hashOf(parent: string, tokens: Int32Array, kind: string): string {
  return new Bun.CryptoHasher("sha256").update(parent).update(tokens).update(kind).digest("hex").slice(0, 32);
}

const SUFFIX = ".kv";

/** [hash]-[parent's hash]-[depth].kv, and with +[extra] for an end. */
export function fileOf({ hash, parent, depth, extra }: SliceName): string {
  return `${hash}-${parent}-${depth}${extra === undefined ? "" : `+${extra}`}${SUFFIX}`;
}

export function parseName(file: string): SliceName | null {
  const match = /^([0-9a-f]{32})-([0-9a-f]{32}|root)-(\d{1,7})(?:\+(\d{1,7}))?\.kv$/.exec(file);
  const [, hash, parent, depth, extra] = match ?? [];
  if (hash === undefined || parent === undefined) return null;
  return { hash, parent, depth: Number(depth), ...(extra === undefined ? {} : { extra: Number(extra) }) };
}
