// `version` and `--version`: one line, or JSON. Must stay cheap: no model code, no native library.

export interface VersionFacts {
  version: string;
  bun: string;
  platform: string;
  /** The vendored llama.cpp. */
  llamaCpp: { version: string; commit: string };
}

export function renderVersion(facts: VersionFacts, json: boolean): string {
  if (json) return `${JSON.stringify(facts)}\n`;
  const { version, commit } = facts.llamaCpp;
  return `ml-offload ${facts.version} (llama.cpp ${version} ${commit.slice(0, 9)}, Bun ${facts.bun}, ${facts.platform})\n`;
}
