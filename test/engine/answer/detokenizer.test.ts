// Tokens to text: characters that are cut between tokens, broken bytes, and control tokens that must be seen.

import { describe, expect, test } from "bun:test";
import { Detokenizer, TokenTexts } from "../../../src/engine/answer/detokenizer.ts";

const encoder = new TextEncoder();

/** A backend whose token n is these bytes. */
function textsOf(bytes: readonly Uint8Array[]): { texts: TokenTexts; calls: [number, boolean][] } {
  const calls: [number, boolean][] = [];
  const texts = new TokenTexts({
    tokenBytes: (token, special) => {
      calls.push([token, special]);
      return bytes[token] ?? new Uint8Array(0);
    },
  });
  return { texts, calls };
}

function decode(pieces: readonly Uint8Array[]): string {
  const detokenizer = new Detokenizer(textsOf(pieces).texts, new Set());
  return pieces.map((_, token) => detokenizer.push(token)).join("") + detokenizer.flush();
}

describe("Detokenizer", () => {
  const text = "aé€🙂 z\u{1F468}‍\u{1F469}‍\u{1F467} Ünïcödé 你好";

  test("gives the text wherever its bytes are cut", () => {
    const bytes = encoder.encode(text);
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(decode([bytes.subarray(0, cut), bytes.subarray(cut)])).toBe(text);
    }
    expect(decode(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toBe(text);
  });

  test("waits for the rest of a character", () => {
    const [a, b] = [encoder.encode("🙂").subarray(0, 3), encoder.encode("🙂").subarray(3)];
    const detokenizer = new Detokenizer(textsOf([a, b]).texts, new Set());
    expect([detokenizer.push(0), detokenizer.push(1), detokenizer.flush()]).toEqual(["", "🙂", ""]);
  });

  test("invalid bytes become U+FFFD, also those that wait at the end", () => {
    expect(decode([Uint8Array.of(0x61, 0xff, 0x62)])).toBe("a\ufffdb");
    expect(decode([encoder.encode("é").subarray(0, 1)])).toBe("\ufffd");
    expect(decode([encoder.encode("é").subarray(0, 1), encoder.encode("x")])).toBe("\ufffdx");
  });

  test("keeps a byte-order mark and a NUL: they are the model's text", () => {
    expect(decode([encoder.encode("\ufeffa\0b")])).toBe("\ufeffa\0b");
  });

  test("asks for the text of control tokens that are preserved, and of no other", () => {
    const { texts, calls } = textsOf([encoder.encode("<tool>"), encoder.encode("x")]);
    const detokenizer = new Detokenizer(texts, new Set([0]));
    detokenizer.push(0);
    detokenizer.push(1);
    expect(calls).toEqual([
      [0, true],
      [1, false],
    ]);
  });
});

describe("TokenTexts", () => {
  test("asks once a token, and forgets when there are too many", () => {
    const { texts, calls } = textsOf([]);
    for (let i = 0; i < 3; i++) texts.bytes(5, false);
    expect(calls).toHaveLength(1);
    for (let token = 0; token <= 8192; token++) texts.bytes(token, false);
    texts.bytes(5, false);
    expect(calls.filter(([token]) => token === 5)).toHaveLength(2);
  });
});
