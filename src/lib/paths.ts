// Where things live on disk: the XDG folders under `ml-offload`, the same on macOS, from an injected
// environment. Only names paths; creates and reads nothing.

import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Folders {
  /** `config.yaml`. */
  config: string;
  /** Models. */
  data: string;
  /** SQLite and saved KV. */
  state: string;
  /** Extracted libraries and self-test results: may be deleted at any time. */
  cache: string;
}

const APP = "ml-offload";

/** The XDG base directory rules: a variable that is unset, empty or relative counts as unset. */
export function resolveFolders(env: Environment, homeFallback: () => string = homedir): Folders {
  const home = env.HOME !== undefined && isAbsolute(env.HOME) ? env.HOME : homeFallback();
  const folder = (variable: string, ...standard: string[]): string => {
    const value = env[variable];
    const base = value !== undefined && isAbsolute(value) ? value : join(home, ...standard);
    return join(base, APP);
  };
  return {
    config: folder("XDG_CONFIG_HOME", ".config"),
    data: folder("XDG_DATA_HOME", ".local", "share"),
    state: folder("XDG_STATE_HOME", ".local", "state"),
    cache: folder("XDG_CACHE_HOME", ".cache"),
  };
}

/** `~` and `~/x` as a shell would read them: config files get no shell. */
export function expandHome(path: string, env: Environment, homeFallback: () => string = homedir): string {
  if (path !== "~" && !path.startsWith("~/")) return path;
  const home = env.HOME !== undefined && isAbsolute(env.HOME) ? env.HOME : homeFallback();
  return join(home, path.slice(1));
}
