// What a model's vocabulary and template are asked about texts: nothing is computed with the model, and nothing waits for
// a place. Both sides know the limits, which are those of one answer.

import type { ChatPrompt } from "./generation.ts";

export type TextQuestion =
  | {
      ask: "tokens";
      /** Texts and token ids in a row. */
      content: (string | number)[];
      /** What the vocabulary puts around a text: the first piece gets it, where it is a text. */
      addSpecial: boolean;
      /** Control tokens are read out of texts. */
      parseSpecial: boolean;
      /** The bytes of each token, too. */
      withPieces: boolean;
    }
  | { ask: "text"; tokens: number[] }
  | { ask: "prompt"; prompt: ChatPrompt };

export type TextAnswer =
  | { kind: "tokens"; tokens: Int32Array; pieces: Uint8Array[] | null }
  | { kind: "text"; text: Uint8Array };

/** As many as the longest contexts hold; as JSON 8 MB. */
export const TOKENS_MAX = 1_048_576;

/** Each is an object of its own in the answer, which the server writes in one go: these take it 20 ms. */
export const PIECES_MAX = 65_536;

/** Four times the text of a million tokens. It crosses to the server in one frame, of which this is a quarter. */
export const TEXT_BYTES_MAX = 16 * 1024 * 1024;

/** How an answer crosses: numbers in the header, all that is long in the payload. */
export interface TextAnswerHead {
  /** Tokens, of four bytes each; null: the payload is a text. */
  tokens: number | null;
  /** Bytes of each token's piece, which follow the tokens. */
  pieces: number[] | null;
}

export function packTextAnswer(answer: TextAnswer): { head: TextAnswerHead; payload: Uint8Array } {
  if (answer.kind === "text") return { head: { tokens: null, pieces: null }, payload: answer.text };
  const { tokens, pieces } = answer;
  const bytes = new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength);
  const head = { tokens: tokens.length, pieces: pieces?.map(({ byteLength }) => byteLength) ?? null };
  return { head, payload: pieces === null ? bytes : Buffer.concat([bytes, ...pieces]) };
}

export function unpackTextAnswer(head: TextAnswerHead, payload: Uint8Array): TextAnswer {
  if (head.tokens === null) return { kind: "text", text: payload };
  const piecesAt = 4 * head.tokens;
  // Bytes of their own: where they lie in a frame, an int32 need not be able to begin. (A Buffer's `slice` is a view.)
  const tokens = new Int32Array(new Uint8Array(payload.subarray(0, piecesAt)).buffer);
  return { kind: "tokens", tokens, pieces: head.pieces === null ? null : cut(payload.subarray(piecesAt), head.pieces) };
}

function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  let at = 0;
  return lengths.map((length) => {
    const piece = bytes.subarray(at, at + length);
    at += length;
    return piece;
  });
}
