// Tokens to text: bytes of characters that are cut between tokens wait for the rest.

import type { Backend } from "../backend.ts";

/** Token texts kept; the most frequent tokens of a model number some thousands. */
const CACHE_MAX = 8192;

/** The bytes of tokens, remembered: the same few thousand tokens make up most text. */
export class TokenTexts {
  readonly #backend: Pick<Backend, "tokenBytes">;
  readonly #plain = new Map<number, Uint8Array>();

  constructor(backend: Pick<Backend, "tokenBytes">) {
    this.#backend = backend;
  }

  bytes(token: number, special: boolean): Uint8Array {
    if (special) return this.#backend.tokenBytes(token, true);
    const known = this.#plain.get(token);
    if (known !== undefined) return known;
    const bytes = this.#backend.tokenBytes(token, false);
    if (this.#plain.size >= CACHE_MAX) this.#plain.clear();
    this.#plain.set(token, bytes);
    return bytes;
  }
}

/** One sequence's decoder. */
export class Detokenizer {
  readonly #texts: TokenTexts;
  readonly #preserved: ReadonlySet<number>;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(texts: TokenTexts, preserved: ReadonlySet<number>) {
    this.#texts = texts;
    this.#preserved = preserved;
  }

  /** Text that the token completes; often one token, sometimes none. */
  push(token: number): string {
    return this.#decoder.decode(this.#texts.bytes(token, this.#preserved.has(token)), { stream: true });
  }

  /** What is left: bytes of a character that was never completed become U+FFFD. */
  flush(): string {
    return this.#decoder.decode();
  }
}
