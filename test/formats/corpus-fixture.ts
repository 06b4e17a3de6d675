// What a fixture of the detector's corpus is: files, the path that is pointed at, and what must come out.

import type { FormatName, Verdict } from "../../src/formats/detection.ts";

export interface Fixture {
  name: string;
  files: Readonly<Record<string, Uint8Array>>;
  /** Files that are larger than their bytes, as sparse ones are. */
  sizes?: Readonly<Record<string, number>>;
  path: string;
  expected: Expected;
}

export interface Expected {
  format: FormatName;
  verdict: Verdict;
  variant?: string | null;
  architecture?: string | null;
  parameterCount?: number | null;
  quantization?: string | null;
  contextLength?: number | null;
  tokenizer?: string | null;
  hasChatTemplate?: boolean | null;
  /** A part of one of the lines of `missing`. */
  missing?: string;
  /** A part of the reason. */
  reason?: string;
  command?: string | null;
}

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
export const json = (value: unknown): Uint8Array => encode(JSON.stringify(value));
export const latin = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

/** Bytes, then filling that is not zeros. */
export function fill(start: Uint8Array, length: number): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, index) => (index * 37 + 11) % 251);
  bytes.set(start.subarray(0, length));
  return bytes;
}

/** The fixture with one file cut to a part of its length. */
export function cut(fixture: Fixture, file: string, part: number, expected: Partial<Expected> = {}): Fixture {
  const bytes = fixture.files[file];
  if (bytes === undefined) throw new Error(`${fixture.name} has no ${file}`);
  const files = { ...fixture.files, [file]: bytes.slice(0, Math.floor(bytes.byteLength * part)) };
  const { format, variant } = fixture.expected;
  const base: Expected = { format, verdict: "damaged", ...(variant === undefined ? {} : { variant }) };
  return { name: `${fixture.name}, cut at ${part}`, path: fixture.path, files, expected: { ...base, ...expected } };
}
