// What a person asks to download: `owner/repo`, `owner/repo:tag`, either with `hf:` before it, an address of the Hub, or that of a GGUF file
// elsewhere. Pure.

import { AppError } from "../protocol/errors.ts";
import { isRepository } from "../protocol/hub-name.ts";

export type PullReference =
  | { kind: "repo"; repo: string; tag: string | null; revision: string }
  | { kind: "url"; url: string };

/** Branches, tags and commits. */
const REVISION = /^(?!.*\.\.)[\w][\w./-]{0,254}$/;
const HUB_HOSTS = ["huggingface.co", "www.huggingface.co", "hf.co"];

/** Throws `invalid_request` with what can be asked for. */
export function parseReference(text: string, endpoint: string): PullReference {
  const trimmed = text.trim();
  const hosts = [...HUB_HOSTS, new URL(endpoint).host];
  if (/^https?:\/\//i.test(trimmed)) return parseAddress(trimmed, hosts);
  const bare = trimmed.replace(/^hf:(\/\/)?/i, "");
  const host = hosts.find((name) => bare.toLowerCase().startsWith(`${name}/`));
  return parseName(host === undefined ? bare : bare.slice(host.length + 1), text);
}

function parseName(name: string, given: string): PullReference {
  const [repo = "", ...rest] = name.split(":");
  const tag = rest.join(":");
  // `latest` is what Ollama's clients put behind a name that has no tag.
  const wanted = tag === "" || tag === "latest" ? null : tag;
  if (isRepository(repo) && tag.length <= 255) return { kind: "repo", repo, tag: wanted, revision: "main" };
  throw refuse(given, "a repository of the Hub is named owner/repo, with :tag behind it for one quantisation");
}

/** `…/owner/repo`, `…/owner/repo/tree/main`, `…/owner/repo/resolve/main/file.gguf`; of other hosts, files. */
function parseAddress(text: string, hosts: readonly string[]): PullReference {
  const url = URL.parse(text);
  if (url === null || url.username !== "" || url.password !== "") throw refuse(text, "the address can't be read");
  if (!hosts.includes(url.host.toLowerCase())) {
    const name = url.pathname.split("/").at(-1) ?? "";
    if (/\.gguf$/i.test(name)) return { kind: "url", url: url.href };
    throw refuse(text, "an address that is not the Hub's must lead to a .gguf file");
  }
  const [owner = "", name = "", verb, revision = "main", ...path] = url.pathname.split("/").filter(Boolean).map(decode);
  const repo = `${owner}/${name}`;
  const known = verb === undefined || ["tree", "blob", "resolve", "raw"].includes(verb);
  if (!isRepository(repo) || !known || !REVISION.test(revision)) throw refuse(text, "it leads to no model of the Hub");
  return { kind: "repo", repo, tag: path.length === 0 ? null : path.join("/"), revision };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (_malformed) {
    // No name on the Hub has a percent sign, so it is refused as it is.
    return part;
  }
}

function refuse(text: string, why: string): AppError {
  const message = `${JSON.stringify(text.slice(0, 200))} can't be downloaded: ${why}`;
  const hint =
    "Ask for a repository with GGUF files, such as owner/repo-GGUF:Q4_K_M, or for the address of a .gguf file.";
  return new AppError({ code: "invalid_request", message, hint, param: "model" });
}
