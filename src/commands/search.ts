// `search WORDS`: models of the Hub that could be downloaded, as a table or JSON. Wiring only: the search is src/hub.

import { join } from "node:path";
import { Hub } from "../hub/hub.ts";
import type { SearchHit } from "../hub/search.ts";
import { readHubSettings } from "../hub/settings.ts";
import { formatBytes } from "../lib/byte-count.ts";
import type { Environment } from "../lib/paths.ts";
import type { SearchArguments } from "./arguments/argv.ts";
import { EXIT_CODES, type ExitCode } from "./exit-codes.ts";
import { openMachine } from "./server/machine.ts";
import { type AskedFlags, limitFiles, readServeSettings } from "./server/serve-settings.ts";

export async function search(
  { search: { json, ...query }, ...asked }: AskedFlags & { search: SearchArguments },
  env: Environment,
  cwd: string,
): Promise<ExitCode> {
  const settings = readServeSettings(asked, env, cwd);
  const machine = openMachine(null, env, settings.folders);
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  const hub = new Hub({
    settings: readHubSettings(env),
    root: join(settings.folders.data, "models"),
    largestModelBytes: () => limitFiles(machine, settings),
  });
  try {
    const hits = await hub.search({ ...query, signal: stop.signal });
    process.stdout.write(json ? `${JSON.stringify(hits, null, 2)}\n` : renderHits(hits));
    return EXIT_CODES.ok;
  } catch (thrown) {
    if (stop.signal.aborted) return EXIT_CODES.interrupted;
    throw thrown;
  }
}

/** One line a repository, and what `pull` would take of it. */
export function renderHits(hits: readonly SearchHit[]): string {
  if (hits.length === 0) return "Nothing was found.\n";
  const rows = hits.map((hit) => [hit.repo, hit.downloads.toLocaleString("en-US"), describeChoice(hit)]);
  const table = [["REPOSITORY", "DOWNLOADS", "FITS"], ...rows];
  const widths = [0, 1].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  const lines = table.map(([repo = "", downloads = "", fits = ""]) =>
    `${repo.padEnd(widths[0] ?? 0)}  ${downloads.padStart(widths[1] ?? 0)}  ${fits}`.trimEnd(),
  );
  return `${lines.join("\n")}\n`;
}

function describeChoice({ choice, variants, gated, error }: SearchHit): string {
  const gate = gated ? " (gated)" : "";
  if (error !== null) return `${error}${gate}`;
  const smallest = variants[0];
  if (smallest === undefined) return `no models${gate}`;
  const chosen = variants.find(({ tag }) => tag === choice);
  if (chosen !== undefined) return `${chosen.tag}, ${formatBytes(chosen.sizeBytes)}${gate}`;
  return `none: the smallest, ${smallest.tag}, has ${formatBytes(smallest.sizeBytes)}${gate}`;
}
