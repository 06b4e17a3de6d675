// Starts llama-server, built from the same source as libmlo, beside our server: what parity is measured against.
// It runs in a folder of its own that holds the very plug-in files chosen, because ggml loads what lies
// beside the executable and in the working directory.

import { copyFileSync, existsSync, linkSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { answersOk, cleanEnvironment, findFreePort, spawnChild, waitUntilReady } from "./child-process.ts";

export interface PeerOptions {
  /** KV tokens, shared by all sequences. */
  ctx?: number;
  parallel?: number;
  /** Default 1: test models are too small to gain from more, and spinning threads crawl on a busy machine. */
  threads?: number;
  /** File names of the plug-ins to use, such as `libggml-cpu-zen4.so`; absent: all, and ggml chooses. */
  plugins?: string[];
  extraArgs?: string[];
}

export interface Peer {
  url: string;
  pid: number;
  logTail(): string;
  stop(): Promise<void>;
}

/** Loading a test model takes under 2 s on an idle machine. */
const START_TIMEOUT_MS = 60_000;

/** llama-server's path, or null where it was not built. */
export function locatePeer(): string | null {
  const path = resolve(process.env.ML_OFFLOAD_PEER || join(import.meta.dir, "../../build/native/llama-server"));
  return existsSync(path) ? path : null;
}

/** For `test.skipIf`: says why on stderr, once per test file. */
export function isPeerMissing(): boolean {
  if (locatePeer() !== null) return false;
  console.error("skipped: llama-server is not built (build/native/llama-server, or ML_OFFLOAD_PEER=FILE)");
  return true;
}

export async function startPeer(modelPath: string, options: PeerOptions = {}): Promise<Peer> {
  const binary = locatePeer();
  if (binary === null) throw new Error("llama-server is not built");
  const folder = mkdtempSync(join(tmpdir(), "mlo-peer-"));
  const removeFolder = () => rmSync(folder, { recursive: true, force: true });
  try {
    const executable = assemblePeer(binary, folder, options.plugins);
    const port = findFreePort();
    const url = `http://127.0.0.1:${port}`;
    const command = [executable, "--model", resolve(modelPath), "--port", String(port), ...listArguments(options)];
    const child = spawnChild(command, { env: cleanEnvironment({ HOME: folder, XDG_CACHE_HOME: folder }), cwd: folder });
    await waitUntilReady(child, "llama-server", START_TIMEOUT_MS, () => answersOk(`${url}/health`));
    return {
      url,
      pid: child.pid,
      logTail: child.logTail,
      async stop() {
        await child.stop();
        removeFolder();
      },
    };
  } catch (thrown) {
    removeFolder();
    throw thrown;
  }
}

function listArguments(options: PeerOptions): string[] {
  const threads = String(options.threads ?? 1);
  return [
    ...["--host", "127.0.0.1", "--offline", "--no-webui", "--no-warmup", "--fit", "off"],
    // One KV pool for all sequences, as ours: without it each slot gets an equal part of the context.
    ...["--ctx-size", String(options.ctx ?? 4096), "--parallel", String(options.parallel ?? 1), "--kv-unified"],
    // Each request decodes its whole prompt: what an earlier one left behind is no part of the comparison.
    ...["--no-cache-prompt", "--cache-ram", "0", "--ctx-checkpoints", "0"],
    ...["--threads", threads, "--threads-batch", threads, "--threads-http", "16"],
    ...(options.extraArgs ?? []),
  ];
}

/** Puts the executable, ggml's base library and the plug-ins into the folder; returns the executable's path there. */
export function assemblePeer(binary: string, folder: string, plugins: string[] | undefined): string {
  const source = dirname(binary);
  const files = readdirSync(source);
  const chosen = plugins ?? files.filter((file) => /^libggml-(?!base).*\.(so|dylib)$/.test(file));
  const wanted = [...files.filter((file) => file.startsWith("libggml-base.")), ...chosen];
  for (const file of wanted) linkOrCopy(join(source, file), join(folder, file));
  const executable = join(folder, "llama-server");
  linkOrCopy(binary, executable);
  return executable;
}

/** A hard link where both folders are on one file system; the executable's folder is then ours. */
function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (thrown) {
    // Another file system, or one without hard links: the copy tells of any real trouble.
    if (!(thrown instanceof Error)) throw thrown;
    copyFileSync(from, to);
  }
}
