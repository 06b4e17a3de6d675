// The input of a custom tool's call, read out of the call's arguments while they come: `{"input": "…"}` piece by piece → the
// text of the input, piece by piece. Pure.

/** Blanks between the marks are the grammar's to limit, and few. */
const HEAD_CHARS_MAX = 200;
const HEAD = /^\s*\{\s*"input"\s*:\s*"/;
const PIECE = /([^"\\]+)|\\(["\\/bfnrt])|\\u([0-9a-fA-F]{4})|(")/y;
const CUT_ESCAPE = /^\\(u[0-9a-fA-F]{0,3})?$/;
const ESCAPES: Record<string, string> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

export class CustomInput {
  #state: "head" | "text" | "ended" | "unread" = "head";
  /** What has come and is not decoded yet: all of it where that is not written as expected. */
  #rest = "";
  /** The first half of a character. */
  #half = "";
  #input = "";

  /** What has been given. */
  get input(): string {
    return this.#input;
  }

  /** Gives what the piece adds. */
  add(piece: string): string {
    if (this.#state === "ended") return "";
    this.#rest += piece;
    if (this.#state === "head") this.#readHead();
    return this.#state === "text" ? this.#give(this.#decode()) : "";
  }

  /** Nothing comes any more: gives what is left. Arguments of another shape are the input as they are. */
  finish(): string {
    const begun = this.#state === "text" || this.#state === "ended";
    const left = begun ? this.#half + this.#leftOver() : (findInput(this.#rest) ?? this.#rest);
    this.#state = "ended";
    this.#rest = "";
    this.#half = "";
    return this.#give(left.toWellFormed());
  }

  #readHead(): void {
    const head = HEAD.exec(this.#rest);
    if (head !== null) {
      this.#rest = this.#rest.slice(head[0].length);
      this.#state = "text";
    } else if (this.#rest.length > HEAD_CHARS_MAX) this.#state = "unread";
  }

  #decode(): string {
    let text = this.#half;
    this.#half = "";
    PIECE.lastIndex = 0;
    let at = 0;
    for (let match = PIECE.exec(this.#rest); match !== null; match = PIECE.exec(this.#rest)) {
      at = PIECE.lastIndex;
      const [, plain, short, code, quote] = match;
      if (quote !== undefined) {
        this.#state = "ended";
        break;
      }
      if (code !== undefined) text += String.fromCharCode(Number.parseInt(code, 16));
      else text += plain ?? ESCAPES[short ?? ""] ?? short ?? "";
    }
    this.#rest = this.#rest.slice(at);
    if (this.#state === "text" && /[\uD800-\uDBFF]$/.test(text)) {
      this.#half = text.slice(-1);
      text = text.slice(0, -1);
    }
    return text.toWellFormed();
  }

  /** Of a text that was cut off; what is no JSON is given as it is. */
  #leftOver(): string {
    return this.#state === "ended" || CUT_ESCAPE.test(this.#rest) ? "" : this.#rest;
  }

  #give(text: string): string {
    this.#input += text;
    return text;
  }
}

/** Of a call that has come whole. */
export function readCustomInput(whole: string): string {
  const reader = new CustomInput();
  reader.add(whole);
  reader.finish();
  return reader.input;
}

function findInput(whole: string): string | null {
  try {
    const { input } = JSON.parse(whole) as { input?: unknown };
    return typeof input === "string" ? input : null;
  } catch {
    // No JSON, or null: it stands for itself.
    return null;
  }
}
