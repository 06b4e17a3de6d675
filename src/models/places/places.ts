// Where other programs on this machine keep models. Only names folders, from an injected environment; whether they are
// there is seen when they are searched.

import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import type { Environment } from "../../lib/paths.ts";

export interface ModelPlace {
  /** How models lie there, and are called. `own`: as in a models folder. */
  kind: "own" | "hugging-face" | "lm-studio" | "ollama" | "llama-cache" | "jan";
  folder: string;
}

/** In the order in which they are searched: what several have is called as the first one calls it. */
export function listPlaces(env: Environment, platform: NodeJS.Platform = process.platform): ModelPlace[] {
  const home = env.HOME !== undefined && isAbsolute(env.HOME) ? env.HOME : homedir();
  const base = (variable: string, ...standard: string[]): string => {
    const value = env[variable];
    return value !== undefined && isAbsolute(value) ? value : join(home, ...standard);
  };
  const mac = platform === "darwin";
  const cache = base("XDG_CACHE_HOME", ".cache");
  const data = mac ? join(home, "Library", "Application Support") : base("XDG_DATA_HOME", ".local", "share");
  const at = (kind: ModelPlace["kind"], ...folders: string[]): ModelPlace[] =>
    folders.map((folder) => ({ kind, folder }));
  return [
    ...at("hugging-face", hubCache(env, cache)),
    ...at("lm-studio", join(home, ".lmstudio", "models"), join(cache, "lm-studio", "models")),
    ...at("ollama", ...ollamaFolders(env, home, mac)),
    ...at("llama-cache", given(env.LLAMA_CACHE) ?? join(mac ? join(home, "Library", "Caches") : cache, "llama.cpp")),
    ...at("jan", join(data, "Jan", "data", "llamacpp", "models"), join(home, "jan", "models")),
  ];
}

/** As the Hub's own libraries choose it. */
function hubCache(env: Environment, cache: string): string {
  const folder = given(env.HF_HUB_CACHE) ?? given(env.HUGGINGFACE_HUB_CACHE);
  return folder ?? join(given(env.HF_HOME) ?? join(cache, "huggingface"), "hub");
}

/** Its service on Linux runs as a user of its own, whose home is there. */
function ollamaFolders(env: Environment, home: string, mac: boolean): string[] {
  const set = given(env.OLLAMA_MODELS);
  if (set !== null) return [set];
  const own = join(home, ".ollama", "models");
  return mac ? [own] : [own, "/usr/share/ollama/.ollama/models"];
}

/** Relative ones would depend on the working directory, which is not the one of the program that wrote them. */
function given(value: string | undefined): string | null {
  return value !== undefined && isAbsolute(value) ? value : null;
}
