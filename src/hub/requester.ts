// Asks servers for bytes: follows redirects by itself, so that the token reaches the Hub alone, tries again what may work
// later, and waits as long as a server asks. Bodies are the caller's; it must read or cancel them.

import type { Clock } from "../lib/clock.ts";
import { AppError } from "../protocol/errors.ts";
import type { HubLimits } from "./limits.ts";
import { type Asked, explainRefusal, isTemporary, readRetryAfter } from "./refusal.ts";
import type { HubSettings } from "./settings.ts";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface RequesterOptions {
  settings: HubSettings;
  limits: HubLimits;
  clock: Clock;
  fetch?: Fetch;
  /** Told before a pause that a person may wonder about. */
  onWait?: (waitMs: number, why: string) => void;
}

export interface Request {
  url: string;
  headers?: Record<string, string>;
  asked: Omit<Asked, "hasToken">;
  signal: AbortSignal;
}

export interface Reply {
  /** 200 or 206; 416 where a range was asked for that is not there. */
  response: Response;
  /** Changes with the content: the Hub's own ETag where it gives one, else the storage's; null: there is none. */
  identity: string | null;
  /** The Hub's commit; null: it is not the Hub. */
  commit: string | null;
  /** Ends the body. */
  cancel(): void;
}

const RANGE_NOT_THERE = 416;
/** Real chains have two or three. */
const REDIRECTS_MAX = 8;

export class Requester {
  readonly limits: HubLimits;
  readonly clock: Clock;
  readonly settings: HubSettings;
  readonly #options: RequesterOptions;
  readonly #fetch: Fetch;

  constructor(options: RequesterOptions) {
    this.#options = options;
    this.limits = options.limits;
    this.clock = options.clock;
    this.settings = options.settings;
    this.#fetch = options.fetch ?? ((url, init) => fetch(url, init));
  }

  /** Throws AppError with the reason when it is refused, or when nothing came of several tries. */
  async get(request: Request): Promise<Reply> {
    const { asked, signal } = request;
    for (let attempt = 1; ; attempt++) {
      throwIfAborted(signal);
      const result = await this.#follow(request);
      const isLast = attempt >= this.limits.attemptsMax;
      if (result instanceof AppError) {
        if (isLast || !result.retryable) throw result;
        await this.pause(attempt, null, result.message, signal);
        continue;
      }
      const { response } = result;
      if (response.ok || response.status === RANGE_NOT_THERE) return result;
      result.cancel();
      const { headers, status } = response;
      const refusal = explainRefusal(status, headers, { ...asked, hasToken: this.settings.token !== null });
      const askedMs = readRetryAfter(headers, this.clock.wallMs());
      if (isLast || !isTemporary(status) || (askedMs ?? 0) > this.limits.retryAfterMsMax)
        throw addWait(refusal, askedMs);
      await this.pause(attempt, askedMs, refusal.message, signal);
    }
  }

  /** As long as was asked for, else twice as long with each attempt, a little random so that many do not come at once. */
  async pause(attempt: number, askedMs: number | null, why: string, signal: AbortSignal): Promise<void> {
    const { backoffMs, backoffMsMax } = this.limits;
    const grown = Math.min(backoffMsMax, backoffMs * 2 ** (attempt - 1));
    const waitMs = askedMs ?? grown * (0.75 + Math.random() / 2);
    this.#options.onWait?.(waitMs, why);
    await new Promise<void>((resolve) => {
      const cancel = this.clock.after(waitMs, done);
      signal.addEventListener("abort", done, { once: true });
      function done(): void {
        cancel();
        signal.removeEventListener("abort", done);
        resolve();
      }
    });
    throwIfAborted(signal);
  }

  /** The answer at the end of the redirects, whatever its status; or why there is none. */
  async #follow({ url, headers = {}, asked, signal }: Request): Promise<Reply | AppError> {
    const home = new URL(this.settings.endpoint).origin;
    const first = URL.parse(url);
    // Of a list's next page a server says where it is: not on this machine's disk.
    if (first === null || !isWeb(first))
      return failed(`${asked.what}: the server names an address that is none`, false);
    let target = first;
    let linkedTag: string | null = null;
    let commit: string | null = null;
    for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
      const token = target.origin === home ? this.settings.token : null;
      const sent = { ...headers, ...(token === null ? {} : { Authorization: `Bearer ${token}` }) };
      const reply = await this.#ask(target, sent, asked, signal);
      if (reply instanceof AppError) return reply;
      const { response } = reply;
      if (target.origin === home) {
        linkedTag = response.headers.get("X-Linked-ETag") ?? linkedTag;
        commit = response.headers.get("X-Repo-Commit") ?? commit;
      }
      const location = response.headers.get("Location");
      if (![301, 302, 303, 307, 308].includes(response.status) || location === null) {
        const identity = cleanTag(linkedTag ?? response.headers.get("ETag"));
        return { ...reply, identity, commit };
      }
      reply.cancel();
      const next = URL.parse(location, target);
      const isDown = target.protocol === "https:" && next?.protocol !== "https:";
      if (next === null || !isWeb(next) || isDown) {
        return failed(`${asked.what}: the server leads to an address that is not followed`, false);
      }
      target = next;
    }
    return failed(`${asked.what}: the server leads from address to address without an end`, false);
  }

  async #ask(
    url: URL,
    headers: Record<string, string>,
    { what }: Omit<Asked, "hasToken">,
    signal: AbortSignal,
  ): Promise<Pick<Reply, "response" | "cancel"> | AppError> {
    const stop = new AbortController();
    const onAbort = (): void => stop.abort();
    signal.addEventListener("abort", onAbort, { once: true });
    const stopTimer = this.clock.after(this.limits.headersMs, onAbort);
    const cancel = (): void => {
      signal.removeEventListener("abort", onAbort);
      stop.abort();
    };
    try {
      // Compressed, a range would be one of other bytes.
      const all = { "Accept-Encoding": "identity", "User-Agent": "ml-offload", ...headers };
      const response = await this.#fetch(url.href, { headers: all, redirect: "manual", signal: stop.signal });
      return { response, cancel };
    } catch (thrown) {
      cancel();
      throwIfAborted(signal);
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      return failed(`${what}: ${url.host} can't be reached: ${why}`, true);
    } finally {
      stopTimer();
    }
  }
}

function isWeb({ protocol }: URL): boolean {
  return protocol === "https:" || protocol === "http:";
}

function failed(message: string, isTemporary: boolean): AppError {
  // `not_supported` is the table's word for what no second try makes better.
  if (!isTemporary) return new AppError({ code: "not_supported", message, hint: "Check the address." });
  return new AppError({ code: "download_failed", message, hint: "Check the network, and HF_ENDPOINT if it is set." });
}

function addWait(refusal: AppError, askedMs: number | null): AppError {
  if (askedMs === null || refusal.code !== "rate_limited") return refusal;
  return new AppError({ ...refusal.toBody(), hint: `Try again in ${Math.ceil(askedMs / 60_000)} minutes.` });
}

function cleanTag(tag: string | null): string | null {
  return tag === null ? null : tag.replace(/^W\//, "").replace(/^"(.*)"$/, "$1");
}

export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new AppError({ code: "cancelled", message: "the download was stopped", hint: KEPT });
}

export const KEPT = "What has arrived is kept: the same command goes on from there.";
