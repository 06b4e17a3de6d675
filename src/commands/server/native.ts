// The native libraries of a server: where they are, unpacked where a driver asks for it, and which of the plug-ins its engines
// load.

import { endWithParent } from "../../engine/parent.ts";
import { systemClock } from "../../lib/clock.ts";
import { listBackends } from "../../protocol/backends.ts";
import { locateNativeFiles, type NativeFiles } from "../../router/backends/native-files.ts";
import { unpackEffects, unpackPlugins } from "../../router/backends/packed-files.ts";
import { askOnce, PluginChoices } from "../../router/backends/plugin-choices.ts";
import { choosePlugins, type PluginChoice, pluginEffects } from "../../router/backends/plugins.ts";
import { runJob } from "../../router/children/jobs.ts";
import type { StartOptions } from "./server.ts";

export interface ServedNative {
  files: NativeFiles;
  /** By the server's own settings. */
  choice: PluginChoice;
  /** For models whose own files ask for other back ends. */
  choices: PluginChoices;
}

/** Throws AppError when there is no library, or no back end that runs here. */
export async function openNative({ config, folders, env, log }: StartOptions): Promise<ServedNative> {
  const located = await locateNativeFiles(folders.cache, env.ML_OFFLOAD_NATIVE_DIR);
  const files = await unpackPlugins(
    located,
    unpackEffects(env, (message) => log.warn(message)),
  );
  if (config.exitWithParent) endWithParent(files.library);
  const ask = askOnce((question) => runJob(files.library, question, log, systemClock));
  const choices = new PluginChoices((wanted) => {
    const effects = pluginEffects(files, folders.cache, log, systemClock, wanted, ask);
    return choosePlugins(files, effects, wanted);
  });
  return { files, choice: await choices.of(listBackends(config.backend)), choices };
}
