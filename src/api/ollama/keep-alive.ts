// Ollama's `keep_alive`: how long a model stays when nobody asks for it. Its schema and its meaning. Pure.

import { Type } from "@sinclair/typebox";
import { AppError } from "../../protocol/errors.ts";

export const KeepAlive = Type.Optional(
  Type.Union([Type.Number(), Type.String({ minLength: 1, maxLength: 64 })], {
    description:
      "How long the model stays without requests: seconds, or a duration such as `5m` or `1h30m`; 0 is not at all, a " +
      "negative one for ever. It holds until the model is unloaded; absent: as before, at first `--sleep-after`.",
  }),
);

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Timers count milliseconds in 31 bits, 24 days: what is longer is for ever. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Milliseconds; null = for ever; undefined = not said. Throws `invalid_request`. */
export function readKeepAlive(value: string | number | undefined, param = "keep_alive"): number | null | undefined {
  if (value === undefined) return undefined;
  const ms = typeof value === "number" ? value * 1000 : parseDuration(value);
  if (ms === null) {
    const message = `\`${param}\` must be seconds or a duration such as "5m", got ${JSON.stringify(value)}`;
    throw new AppError({ code: "invalid_request", message, param });
  }
  return ms < 0 || ms > TIMER_MS_MAX ? null : Math.round(ms);
}

/** `1h30m`, `-1`, `300ms`; null: it is none. */
function parseDuration(text: string): number | null {
  const match = /^([+-]?)((?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+|\d+(?:\.\d+)?)$/.exec(text.trim());
  if (match === null) return null;
  const [, sign, amount = ""] = match;
  const pieces = [...amount.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)?/g)];
  const ms = pieces.reduce((total, [, count, unit]) => total + Number(count) * (UNIT_MS[unit ?? "s"] ?? 0), 0);
  return sign === "-" ? -ms : ms;
}
