// What a server's refusal means for the person who wants the model: status and headers → error with a hint. Pure.

import { AppError } from "../protocol/errors.ts";

export interface Asked {
  /** In words, for messages: `owner/repo`, or a host. */
  what: string;
  /** Of the repository, where its terms are accepted; null: no repository. */
  page: string | null;
  hasToken: boolean;
}

/** Statuses that may be gone at the next try. */
export function isTemporary(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501);
}

export function explainRefusal(status: number, headers: Headers, asked: Asked): AppError {
  const { what, page, hasToken } = asked;
  const told = headers.get("X-Error-Message")?.slice(0, 300) ?? "";
  const said = told === "" ? "" : ` It says: ${told}`;
  if (headers.get("X-Error-Code") === "GatedRepo" && page !== null) return explainGate(asked, page);
  if (headers.get("X-Error-Code") === "RepoNotFound" || (status === 404 && page !== null) || status === 410) {
    const isFile = ["EntryNotFound", "RevisionNotFound"].includes(headers.get("X-Error-Code") ?? "");
    const hint = hasToken
      ? "Check the name, and that HF_TOKEN may read it."
      : "Check the name. A private repository needs HF_TOKEN.";
    const message = isFile ? `${what} has no such file or revision` : `${what} does not exist, or may not be seen`;
    return new AppError({ code: "model_not_found", message, hint, param: "model" });
  }
  switch (status) {
    case 401:
      return new AppError({
        code: "unauthorized",
        message: `${what} is given only to who is logged in.${said}`,
        hint: hasToken ? "HF_TOKEN is not valid: make a new one." : "Set HF_TOKEN to a token that may read it.",
      });
    case 403:
      return new AppError({
        code: "forbidden",
        message: `${what} may not be read with this access.${said}`,
        hint: hasToken ? "Check which repositories the token may read." : "Set HF_TOKEN to a token that may read it.",
      });
    case 404:
      return new AppError({ code: "model_not_found", message: `${what} has no such file`, hint: "Check the address." });
    case 429:
      return new AppError({
        code: "rate_limited",
        message: `${what}: the server takes no more requests now`,
        hint: hasToken ? "Try again in some minutes." : "Try again in some minutes, or set HF_TOKEN: it allows more.",
      });
    default:
      return new AppError({ code: "download_failed", message: `${what}: the server answered with ${status}.${said}` });
  }
}

function explainGate({ what, hasToken }: Asked, page: string): AppError {
  const message = `${what} is gated: its authors give it to who accepts their terms`;
  const hint = hasToken
    ? `Accept the terms at ${page} with the account of HF_TOKEN, and wait until access is granted.`
    : `Accept the terms at ${page}, then set HF_TOKEN to a token of that account.`;
  return new AppError({ code: hasToken ? "forbidden" : "unauthorized", message, hint });
}

/** Milliseconds that a server asks to wait; null: it does not say. Seconds, a date, or the Hub's `RateLimit: …;t=55`. */
export function readRetryAfter(headers: Headers, nowMs: number): number | null {
  const text = headers.get("Retry-After")?.trim() ?? "";
  if (/^\d{1,9}(\.\d+)?$/.test(text)) return Math.ceil(Number(text) * 1000);
  const dateMs = text === "" ? Number.NaN : Date.parse(text);
  if (!Number.isNaN(dateMs)) return Math.max(0, dateMs - nowMs);
  const reset = /(?:^|;)\s*t=(\d{1,9})/.exec(headers.get("RateLimit") ?? "")?.[1];
  return reset === undefined ? null : Number(reset) * 1000;
}
