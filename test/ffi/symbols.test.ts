// The header, the generated symbols and the library say the same; and a header that can't be read is an error.

import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateSymbols, parseHeader, SYMBOLS_FILE } from "../../native/symbols.ts";
import { NativeLibrary, toCText } from "../../src/ffi/library.ts";
import { NativeError } from "../../src/ffi/native-error.ts";
import { HEADER_HASH, SYMBOLS } from "../../src/ffi/symbols.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";

describe("symbols.ts", () => {
  test("is what the header gives now; `npm run symbols` writes it", () => {
    expect(readFileSync(SYMBOLS_FILE, "utf8")).toBe(generateSymbols());
  });

  test.skipIf(!HAS_NATIVE)("is what the library was built from, with every symbol there", async () => {
    const { library } = await openLlama();
    expect(String(library.calls.mlo_header_hash())).toBe(HEADER_HASH);
    expect(Object.keys(library.calls).sort()).toEqual(Object.keys(SYMBOLS).sort());
    expect(library.llamaVersion()).toMatchObject({ version: expect.any(String), commit: expect.any(String) });
  });
});

describe("parseHeader", () => {
  test("reads names, types and parameters", () => {
    const text = "// MLO_API is explained\n#define MLO_API\nMLO_API char * mlo_a(void);\nint x;\n";
    expect(parseHeader(`${text}MLO_API int32_t mlo_b(mlo_job * job, const char * text);\n`)).toEqual([
      { name: "mlo_a", returns: "char *", parameters: [] },
      {
        name: "mlo_b",
        returns: "int32_t",
        parameters: [
          { type: "mlo_job *", name: "job" },
          { type: "const char *", name: "text" },
        ],
      },
    ]);
  });

  test.each([
    ["MLO_API int32_t mlo_a(int32_t a,", "not one declaration on one line"],
    ["MLO_API int32_t mlo_a(int32_t a) {", "not one declaration on one line"],
    ["MLO_API int32_t mlo_a;", "not one declaration on one line"],
    ["  MLO_API int32_t mlo_a(void);", "does not begin the line"],
    ["extern MLO_API int32_t mlo_a(void);", "does not begin the line"],
    ["MLO_API int32_t other_a(void);", "does not start with mlo_"],
    ["MLO_API int32_t *mlo_a(void);", "does not start with mlo_"],
    ["MLO_API int32_t mlo_a();", "has no name"],
    ["MLO_API int32_t mlo_a(int32_t);", "has no name"],
    ["MLO_API int32_t mlo_a(void);\nMLO_API int32_t mlo_a(void);", "declared twice"],
    ["int32_t mlo_a(void);", "no declaration found"],
  ])("refuses %j", (text, message) => {
    expect(() => parseHeader(text)).toThrow(message);
  });

  test.each(["unsigned a", "int a", "size_t a", "void * a", "double a", "const char *a", "struct x * a"])(
    "a parameter `%s` is not a type of the ABI",
    (parameter) => {
      expect(() => generateSymbols(`MLO_API int32_t mlo_a(${parameter});\n`)).toThrow("mlo.h: the type");
    },
  );
});

describe("NativeLibrary", () => {
  test("says which file can't be opened", () => {
    const folder = mkdtempSync(join(tmpdir(), "mlo-ffi-"));
    const path = join(folder, "libmlo.so");
    expect(() => NativeLibrary.open(path)).toThrow(`can't open ${path}`);
    writeFileSync(path, "no library");
    expect(() => NativeLibrary.open(path)).toThrow(NativeError);
    rmSync(folder, { recursive: true });
  });

  test("text with a NUL does not cross, where it would be cut short", () => {
    expect([...toCText("é")]).toEqual([0xc3, 0xa9, 0]);
    expect(() => toCText("a\0b")).toThrow(NativeError);
  });
});
