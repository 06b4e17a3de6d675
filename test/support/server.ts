// Starts our own server as an embedding tool would: `serve --port 0 --ready-json`, one JSON line on stdout.
// ML_OFFLOAD_BINARY=FILE runs a compiled binary instead of the source; a test of the binary names it by `program`.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Child, cleanEnvironment, spawnChild } from "./child-process.ts";

export interface ServerOptions {
  /** Further arguments of `serve`. */
  args?: string[];
  env?: Record<string, string>;
  /** What to run instead of what the environment says. */
  program?: string[];
}

export interface Server extends Child {
  url: string;
  version: string;
}

const REPOSITORY = join(import.meta.dir, "../..");
/** Includes the self-test of a CPU variant that this host has not seen yet. */
const START_TIMEOUT_MS = 90_000;

export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const home = mkdtempSync(join(tmpdir(), "mlo-home-"));
  const binary = process.env.ML_OFFLOAD_BINARY;
  const program = options.program ?? (binary ? [binary] : [process.execPath, join(REPOSITORY, "src/main.ts")]);
  // An empty home: no configuration and no models of the developer. The cache is shared between tests.
  const env = cleanEnvironment({
    HOME: home,
    XDG_CONFIG_HOME: join(home, "config"),
    XDG_DATA_HOME: join(home, "data"),
    XDG_STATE_HOME: join(home, "state"),
    XDG_CACHE_HOME: join(REPOSITORY, "build/test-cache"),
    ...options.env,
  });
  const child = spawnChild([...program, "serve", "--port", "0", "--ready-json", ...(options.args ?? [])], { env });
  const removeHome = () => rmSync(home, { recursive: true, force: true });
  const timer = setTimeout(() => child.kill(), START_TIMEOUT_MS);
  const line = await child.firstLine;
  clearTimeout(timer);
  const ready = line === null ? null : parseReadyLine(line);
  if (ready === null) {
    await child.stop();
    removeHome();
    throw new Error(`our server did not get ready; it printed ${JSON.stringify(line)} and logged:\n${child.logTail()}`);
  }
  return {
    ...child,
    url: ready.url,
    version: ready.version,
    async stop() {
      await child.stop();
      removeHome();
    },
  };
}

function parseReadyLine(line: string): { url: string; version: string } | null {
  try {
    const ready = JSON.parse(line) as { url?: unknown; version?: unknown };
    if (typeof ready.url !== "string" || typeof ready.version !== "string") return null;
    return { url: ready.url.replace(/\/$/, ""), version: ready.version };
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return null;
    throw thrown;
  }
}
