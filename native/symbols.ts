// Generates src/ffi/symbols.ts from shim/mlo.h. The header keeps to a strict form (see its top), and whatever
// does not fit that form is an error here, so a declaration can't be misread in silence.

import { readFileSync } from "node:fs";
import { join } from "node:path";

interface Parameter {
  type: string;
  name: string;
}

export interface Declaration {
  name: string;
  returns: string;
  parameters: Parameter[];
}

const HEADER = join(import.meta.dir, "shim", "mlo.h");
export const SYMBOLS_FILE = join(import.meta.dir, "..", "src", "ffi", "symbols.ts");

const SCALARS: Record<string, string> = { void: "void", int32_t: "i32", int64_t: "i64", float: "f32" };

/** bun:ffi's name for a C type. Borrowed text comes back as a string; every other pointer is an address. */
function ffiType(type: string, returned: boolean): string {
  const scalar = SCALARS[type];
  if (scalar !== undefined) return scalar;
  if (type === "const char *") return returned ? "cstring" : "ptr";
  if (/^(mlo_[a-z]+|char|u?int8_t|int32_t|float) \*+$/.test(type)) return "ptr";
  throw new Error(`mlo.h: the type '${type}' is not one that the generator knows`);
}

/** The header's declarations, in order. Throws on a line that starts like one and does not have the form. */
export function parseHeader(text: string): Declaration[] {
  const declarations: Declaration[] = [];
  for (const line of text.split("\n")) {
    if (!line.startsWith("MLO_API ")) {
      if (!/^\s*(\/\/|#)/.test(line) && line.includes("MLO_API")) {
        throw new Error(`mlo.h: MLO_API does not begin the line: ${line}`);
      }
      continue;
    }
    const open = line.indexOf("(");
    if (open < 0 || !line.endsWith(");")) throw new Error(`mlo.h: not one declaration on one line: ${line}`);
    const head = splitName(line.slice("MLO_API ".length, open));
    const inside = line.slice(open + 1, -2);
    if (!/^mlo_[a-z0-9_]+$/.test(head.name)) throw new Error(`mlo.h: '${head.name}' does not start with mlo_`);
    const parameters = inside === "void" ? [] : inside.split(", ").map(splitName);
    if (declarations.some(({ name }) => name === head.name)) throw new Error(`mlo.h: ${head.name} is declared twice`);
    declarations.push({ name: head.name, returns: head.type, parameters });
  }
  if (declarations.length === 0) throw new Error("mlo.h: no declaration found");
  return declarations;
}

/** `const char * path` → type and name, which is the last word. */
function splitName(text: string): Parameter {
  const space = text.lastIndexOf(" ");
  if (space < 0) throw new Error(`mlo.h: '${text}' has no name`);
  return { type: text.slice(0, space).trim(), name: text.slice(space + 1) };
}

/** The text of src/ffi/symbols.ts. */
export function generateSymbols(header: string = readFileSync(HEADER, "utf8")): string {
  const hash = new Bun.CryptoHasher("sha256").update(header).digest("hex");
  const rows = parseHeader(header).map(({ name, returns, parameters }) => {
    const args = parameters.map((parameter) => `"${ffiType(parameter.type, false)}"`).join(", ");
    const names = parameters.map((parameter) => parameter.name).join(", ");
    return `  // ${name}(${names})\n  ${name}: { args: [${args}], returns: "${ffiType(returns, true)}" },`;
  });
  return `// GENERATED from native/shim/mlo.h by \`npm run symbols\`: change the header instead.\n\n/** SHA-256 of the header; the library must have been built from the same. */\nexport const HEADER_HASH = "${hash}";\n\nexport const SYMBOLS = {\n${rows.join("\n")}\n} as const;\n`;
}
