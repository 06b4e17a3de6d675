// Importance matrices: both formats are read, and what is none, or of another model, is told before anything is written.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkImatrix, readImatrix } from "../../src/convert/imatrix.ts";
import { type ImatrixEntry, writeImatrix, writeOlderImatrix } from "../support/imatrix-writer.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-imatrix-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

const ENTRIES: ImatrixEntry[] = [
  { name: "blk.0.attn_q.weight", row: 256 },
  { name: "blk.0.ffn_down_exps.weight", row: 512, experts: 4 },
];
const MODEL = [
  { name: "token_embd.weight", dims: [256, 300] },
  { name: "blk.0.attn_norm.weight", dims: [256] },
  { name: "blk.0.attn_q.weight", dims: [256, 256] },
  { name: "blk.0.ffn_down_exps.weight", dims: [512, 256, 4] },
];

describe("importance matrices", () => {
  test("both formats give values by tensor", () => {
    writeImatrix(at("new.gguf"), ENTRIES);
    writeOlderImatrix(at("old.dat"), ENTRIES);
    const expected = new Map([
      ["blk.0.attn_q.weight", 256],
      ["blk.0.ffn_down_exps.weight", 2048],
    ]);
    expect(readImatrix(at("new.gguf"))).toEqual(expected);
    expect(readImatrix(at("old.dat"))).toEqual(expected);
  });

  test("a file of this model is taken; what it lacks is told", () => {
    expect(checkImatrix(at("new.gguf"), MODEL, "q4_k_m")).toEqual([]);
    const more = [...MODEL, { name: "blk.0.attn_k.weight", dims: [256, 256] }];
    expect(checkImatrix(at("old.dat"), more, "iq2_xs")).toEqual([
      "1 of 3 matrices are not in old.dat and were quantised without it",
    ]);
  });

  test("without one, small types are refused and others are not", () => {
    expect(checkImatrix(null, MODEL, "q2_k")).toEqual([]);
    expect(() => checkImatrix(null, MODEL, "iq2_xs")).toThrow("iq2_xs needs an importance matrix");
  });

  test("one of another model is refused", () => {
    writeImatrix(at("wide.gguf"), [{ name: "blk.0.attn_q.weight", row: 512 }]);
    expect(() => checkImatrix(at("wide.gguf"), MODEL, "q4_k_m")).toThrow(
      "of another model: it has 512 values for blk.0.attn_q.weight, which has rows of 256",
    );
    writeImatrix(at("other.gguf"), [{ name: "blk.7.attn_q.weight", row: 256 }]);
    expect(() => checkImatrix(at("other.gguf"), MODEL, "q4_k_m")).toThrow("names none of the model's tensors");
  });

  test("what is none is named", () => {
    const why = (name: string, message: string) => expect(() => readImatrix(at(name))).toThrow(message);
    why("nowhere", "can't be read");
    writeFileSync(at("empty"), "");
    why("empty", "is no importance matrix: it ends too early");
    writeFileSync(at("text"), "not at all what was meant");
    why("text", "is no importance matrix: it claims");
    writeImatrix(at("bare.gguf"), ENTRIES, ["imatrix.datasets"]);
    why("bare.gguf", "it lacks imatrix.datasets");
    writeImatrix(at("model.gguf"), ENTRIES, ["general.type"]);
    why("model.gguf", "it is a GGUF file of another kind");
    writeFileSync(at("cut.gguf"), readFileSync(at("new.gguf")));
    truncateSync(at("cut.gguf"), 200);
    why("cut.gguf", "is no importance matrix");
  });

  test("no cut and no changed byte of either format does more than its error", () => {
    for (const name of ["new.gguf", "old.dat"]) {
      const whole = readFileSync(at(name));
      for (let length = 0; length < Math.min(whole.length, 400); length += 3) {
        for (const bytes of [whole.subarray(0, length), Buffer.from(whole).fill(255, length, length + 4)]) {
          writeFileSync(at("bent"), bytes);
          try {
            for (const count of readImatrix(at("bent")).values()) expect(count).toBeGreaterThan(0);
          } catch (thrown) {
            expect(thrown).toMatchObject({ code: "invalid_request" });
          }
        }
      }
    }
  });
});
