// Which Hub is asked, and with which right: the variables and files that Hugging Face's own tools use. Reads the token's
// file; asks nobody.

import { readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import type { Environment } from "../lib/paths.ts";
import { AppError } from "../protocol/errors.ts";

export interface HubSettings {
  /** Without a slash at its end. */
  endpoint: string;
  /** Sent to the endpoint and to nobody else. */
  token: string | null;
  /** Nothing is asked over the network. */
  offline: boolean;
}

const STANDARD_ENDPOINT = "https://huggingface.co";
/** Real tokens have about 40 characters. */
const TOKEN = /^[\x21-\x7e]{1,512}$/;

/** Throws `invalid_request` for an endpoint that is no URL. */
export function readHubSettings(env: Environment): HubSettings {
  return { endpoint: readEndpoint(env), token: readToken(env), offline: isOn(env.HF_HUB_OFFLINE) };
}

function readEndpoint({ HF_ENDPOINT: set = "" }: Environment): string {
  if (set === "") return STANDARD_ENDPOINT;
  const url = URL.parse(set);
  const usable = url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.search + url.hash === "";
  if (usable) return url.href.replace(/\/+$/, "");
  const message = `HF_ENDPOINT must be a URL such as ${STANDARD_ENDPOINT}, not ${JSON.stringify(set)}`;
  throw new AppError({ code: "invalid_request", message, hint: "Correct the variable, or unset it." });
}

function readToken(env: Environment): string | null {
  const set = env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN || "";
  if (set !== "") {
    if (TOKEN.test(set.trim())) return set.trim();
    const message = "HF_TOKEN holds characters that no token has";
    throw new AppError({ code: "invalid_request", message, hint: "Copy the token again from the Hub's settings." });
  }
  if (isOn(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return null;
  const text = readTokenFile(env.HF_TOKEN_PATH || join(homeOfHub(env), "token")).trim();
  return TOKEN.test(text) ? text : null;
}

function homeOfHub({ HF_HOME, XDG_CACHE_HOME, HOME }: Environment): string {
  if (HF_HOME !== undefined && HF_HOME !== "") return HF_HOME;
  const home = HOME !== undefined && isAbsolute(HOME) ? HOME : homedir();
  const cache = XDG_CACHE_HOME !== undefined && isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(home, ".cache");
  return join(cache, "huggingface");
}

function readTokenFile(path: string): string {
  try {
    return statSync(path).size <= 4096 ? readFileSync(path, "utf8") : "";
  } catch (_absent) {
    // Nobody has logged in here.
    return "";
  }
}

function isOn(value: string | undefined): boolean {
  return ["1", "true", "yes", "on"].includes((value ?? "").toLowerCase());
}
