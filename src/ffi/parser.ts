// Splits an answer's text into content, reasoning and tool calls.

import type { Pointer } from "bun:ffi";
import { Handle } from "./handle.ts";
import { type NativeLibrary, toCText } from "./library.ts";
import type { NativePrompt } from "./prompt.ts";

export interface ParsedPiece {
  text?: string;
  reasoning?: string;
  /** `id` and `name` come with a call's first piece. */
  toolCall?: { index: number; id?: string; name?: string; arguments: string };
}

export class NativeParser extends Handle {
  readonly #library: NativeLibrary;

  private constructor(library: NativeLibrary, pointer: Pointer) {
    super("parser", pointer, (parser) => library.calls.mlo_parser_free(parser));
    this.#library = library;
  }

  static make(library: NativeLibrary, prompt: NativePrompt): NativeParser {
    return new NativeParser(library, library.own("mlo_parser_new", library.calls.mlo_parser_new(prompt.pointer)));
  }

  /**
   * What the added text makes certain, in order. `final` closes what is open; what does not fit the format is content.
   */
  push(text: string, final: boolean): ParsedPiece[] {
    // A NUL can't cross as C text, and no template gives it a meaning.
    const pieces = this.#library.calls.mlo_parser_push(this.pointer, toCText(text.replaceAll("\0", "")), final ? 1 : 0);
    return this.#library.takeJson("mlo_parser_push", pieces);
  }

  /** Bytes that llama.cpp's parser was given so far. */
  parsedBytes(): number {
    return Number(this.#library.calls.mlo_parser_parsed_bytes(this.pointer));
  }

  /** Parts of the final message that differ from what was handed out before; and one for an answer that does not fit. */
  mismatches(): number {
    return this.#library.calls.mlo_parser_mismatches(this.pointer);
  }
}
