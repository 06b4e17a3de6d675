// The Host check: a web page that points its own domain at 127.0.0.1 (DNS rebinding) reaches us under
// that domain's name, so only known names are answered. The port is not compared: a forwarded port differs.

import { isIP } from "node:net";

const LOCAL_NAMES = ["localhost", "127.0.0.1", "::1"];

/** Addresses that mean "every interface": a client then names any address of the machine. */
const WILDCARD_ADDRESSES = ["0.0.0.0", "::"];

export interface HostRules {
  host: string;
  allowedHosts: readonly string[];
}

/** `hostHeader` is the header's value, with or without a port. */
export function isHostAllowed(hostHeader: string, rules: HostRules): boolean {
  if (rules.allowedHosts.includes("*")) return true;
  const name = readHostName(hostHeader);
  if (name === null) return false;
  if (LOCAL_NAMES.includes(name) || name === normalizeName(rules.host)) return true;
  if (rules.allowedHosts.some((allowed) => readHostName(allowed) === name)) return true;
  // An address can't be rebound, only a name can; so with a wildcard bind every address is fine.
  return WILDCARD_ADDRESSES.includes(normalizeName(rules.host)) && isIP(name) !== 0;
}

/** Whether a bound address is reached from this machine alone. */
export function isLocalAddress(host: string): boolean {
  const name = normalizeName(host);
  return LOCAL_NAMES.includes(name) || (isIP(name) === 4 && name.startsWith("127."));
}

/** The name without port and brackets, in lower case; null when it is not a host at all. */
function readHostName(value: string): string | null {
  const trimmed = value.trim();
  const bracketed = /^\[([0-9a-fA-F:.%]+)\](?::\d{1,5})?$/.exec(trimmed);
  if (bracketed?.[1] !== undefined) return bracketed[1].toLowerCase();
  if (isIP(trimmed) === 6) return trimmed.toLowerCase();
  const named = /^([^:/?#@\s]+)(?::\d{1,5})?$/.exec(trimmed);
  return named?.[1] === undefined ? null : normalizeName(named[1]);
}

function normalizeName(name: string): string {
  return name
    .toLowerCase()
    .replace(/^\[|\]$/g, "")
    .replace(/\.$/, "");
}
