// The back ends of ggml that can be asked for by name. A leaf: settings, model files and the choice of plug-ins share it.

/** `cpu` is always loaded besides the others: llama.cpp can't do without. */
export const BACKENDS = ["cuda", "vulkan", "metal", "cpu"] as const;
export type BackendName = (typeof BACKENDS)[number];

/** Where an engine computes, and what that has to do with what was asked for. */
export interface BackendUse {
  /** In the order in which they were asked for; empty: whatever works. */
  wanted: readonly BackendName[];
  /** GPU back ends that are loaded, else `cpu`. */
  used: readonly string[];
  /** What is used in place of the first one that was asked for; null: nothing is. */
  fallback: string | null;
  /** Back ends, or files of them, that are not used, and why. */
  skipped: readonly { file: string; reason: string }[];
}

/** Lists of names by commas → in order, each once; none: whatever works. Other words are left out. */
export function listBackends(values: readonly string[]): BackendName[] {
  const named = values.flatMap((value) => value.split(",")).map((name) => name.trim());
  return BACKENDS.filter((name) => named.includes(name)).sort((a, b) => named.indexOf(a) - named.indexOf(b));
}
