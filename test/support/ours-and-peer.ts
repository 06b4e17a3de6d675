// Our server and llama-server side by side on one model, with the same CPU plug-in.
// ML_OFFLOAD_PARITY_SELF=1 lets a second llama-server play our part: that checks the harness itself.

import { basename } from "node:path";
import { type Peer, startPeer } from "./peer.ts";
import { startServer } from "./server.ts";

export interface Pair {
  ours: { url: string; stop(): Promise<void> };
  peer: Peer;
  /** Another llama-server on the same model and plug-in, with other arguments. */
  startVariant(extraArgs: string[]): Promise<Peer>;
  stop(): Promise<void>;
}

export interface PairOptions {
  ctx: number;
  parallel: number;
  /** For llama-server only, such as the pooling of a model that names none. */
  peerArgs?: string[];
}

export async function startPair(modelPath: string, options: PairOptions): Promise<Pair> {
  const { ctx, parallel } = options;
  // As many threads as the peer: flash attention cuts long contexts by their number, which changes rounding.
  const args = ["--model", modelPath, "--ctx", String(ctx), "--parallel", String(parallel), "--threads", "1"];
  const self = process.env.ML_OFFLOAD_PARITY_SELF === "1";
  const ours = self
    ? await startPeer(modelPath, { ctx, parallel, extraArgs: [...(options.peerArgs ?? []), "--ubatch-size", "256"] })
    : await startServer({ args });
  const startVariant = async (extraArgs: string[]) => {
    const plugins = self ? undefined : await listOurPlugins(ours.url);
    const settings = { ctx, parallel, extraArgs: [...(options.peerArgs ?? []), ...extraArgs] };
    return await startPeer(modelPath, plugins === undefined ? settings : { ...settings, plugins });
  };
  try {
    const peer = await startVariant([]);
    return {
      ours,
      peer,
      startVariant,
      stop: async () => {
        await Promise.all([ours.stop(), peer.stop()]);
      },
    };
  } catch (thrown) {
    await ours.stop();
    throw thrown;
  }
}

/** The backend plug-in files that our server uses, by name; without one the comparison would prove nothing. */
export async function listOurPlugins(url: string): Promise<string[]> {
  const response = await fetch(`${url}/api/backend/info`, { signal: AbortSignal.timeout(30_000) });
  const info = (await response.json()) as { plugins?: unknown };
  const listed = Array.isArray(info.plugins) ? info.plugins.map((plugin) => basename(String(plugin))) : [];
  const plugins = listed.filter((file) => file.startsWith("libggml-") && !file.startsWith("libggml-base"));
  if (plugins.length === 0) throw new Error(`/api/backend/info names no plug-in: ${JSON.stringify(info)}`);
  return plugins;
}
