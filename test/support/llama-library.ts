// The real native library inside the test process: opened once, with the CPU variant that fits this host best.

import { existsSync, realpathSync } from "node:fs";
import { join } from "node:path";
import type { LlamaBackend } from "../../src/engine/llama/llama-backend.ts";
import { loadBackend, startPlugins } from "../../src/engine/llama/load.ts";
import { NativeLibrary } from "../../src/ffi/library.ts";
import { NativeModel } from "../../src/ffi/model.ts";
import type { EngineSettings } from "../../src/protocol/messages.ts";
import { locateNativeFiles, type NativeFiles } from "../../src/router/backends/native-files.ts";
import { makeEngineSettings } from "./engine-settings.ts";

export const NATIVE_FOLDER = join(import.meta.dir, "../../build/native");

/** Tests that need the libraries skip without them, and say so. */
export const HAS_NATIVE = existsSync(NATIVE_FOLDER);
if (!HAS_NATIVE) console.warn("skipped: build/native is missing; `npm run setup` builds it");

export interface OpenLlama {
  library: NativeLibrary;
  files: NativeFiles;
  /** The CPU variant that is loaded. */
  plugin: string;
}

let opened: Promise<OpenLlama> | null = null;

export function openLlama(): Promise<OpenLlama> {
  opened ??= open();
  return opened;
}

async function open(): Promise<OpenLlama> {
  // Resolved, because a build that goes on beside the tests may link another folder to this place.
  const files = await locateNativeFiles("", realpathSync(NATIVE_FOLDER));
  const library = NativeLibrary.open(files.library);
  const scored = files.cpuPlugins.map((path) => ({ path, score: library.scorePlugin(path) }));
  const best = scored.sort((a, b) => b.score - a.score)[0];
  if (best === undefined) throw new Error(`there is no CPU plug-in in ${NATIVE_FOLDER}`);
  // Another test file of this process may have loaded it: a second time would double the device.
  if (library.devices().length === 0) startPlugins(library, [best.path]);
  library.readLog();
  return { library, files, plugin: best.path };
}

/** The demo model as a backend. */
export async function loadDemo(changes: Partial<EngineSettings> = {}): Promise<LlamaBackend> {
  const { files } = await openLlama();
  return loadModelFile(files.demoModel, changes);
}

/** Any model as a backend. One thread: the test machine has other work. */
export async function loadModelFile(modelPath: string, changes: Partial<EngineSettings> = {}): Promise<LlamaBackend> {
  const { library, plugin } = await openLlama();
  const settings = makeEngineSettings(modelPath, plugin, changes);
  return loadBackend(library, settings, { onProgress: () => {}, wait: () => Bun.sleepSync(1) });
}

export async function loadDemoModel(): Promise<NativeModel> {
  const { library, files } = await openLlama();
  using job = NativeModel.load(library, files.demoModel, { gpuLayers: 0 });
  while (job.poll().kind === "running") Bun.sleepSync(1);
  return job.take();
}
