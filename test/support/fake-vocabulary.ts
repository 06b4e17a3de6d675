// The fake backend's tokens: letters, a space, an accented letter, and an emoji that is cut into two tokens.

const encoder = new TextEncoder();
const EMOJI = encoder.encode("🙂");

/** Ends an answer. */
export const END = 0;
const FIRST_LETTER = 1;
const SPACE = 27;
const ACCENTED = 28;
export const EMOJI_START = 29;
const EMOJI_REST = 30;
/** A control token: silent, unless it is asked for. */
export const PRESERVED = 31;
/** A byte that no UTF-8 text has. */
const INVALID = 32;
export const FAKE_VOCABULARY = 33;

/** What a sampler picks from. The emoji's halves come on their own, too: broken text is part of the test. */
export const READABLE_TOKENS: readonly number[] = Array.from({ length: EMOJI_REST }, (_, i) => i + FIRST_LETTER);

export function fakeTokenBytes(token: number, special: boolean): Uint8Array {
  if (token === PRESERVED) return encoder.encode(special ? "<tool>" : "");
  if (token === EMOJI_START) return EMOJI.slice(0, 2);
  if (token === EMOJI_REST) return EMOJI.slice(2);
  if (token === INVALID) return Uint8Array.of(0xff);
  if (token === ACCENTED) return encoder.encode("é");
  if (token === SPACE) return encoder.encode(" ");
  return encoder.encode(token === END ? "" : String.fromCharCode(96 + token));
}

/** Letters and spaces as tokens; other characters become letters. */
export function fakeTokens(text: string): Int32Array {
  return Int32Array.from(text, (char) => {
    if (char === " ") return SPACE;
    if (char === "é") return ACCENTED;
    return FIRST_LETTER + (((char.codePointAt(0) ?? 0) + 7) % 26);
  });
}

/** The tokens, or what is wrong with them. */
export function checkTokens(tokens: readonly number[]): Int32Array | string {
  const bad = tokens.find((token) => token < 0 || token >= FAKE_VOCABULARY);
  return bad === undefined ? Int32Array.from(tokens) : `token ${bad} is not in the vocabulary of ${FAKE_VOCABULARY}`;
}
