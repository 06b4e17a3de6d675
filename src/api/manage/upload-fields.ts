// What is said of an upload besides its bytes: in the query, in a form, or in tus's metadata. Pure.

import { AppError } from "../../protocol/errors.ts";

/** Hexadecimal in lower case; null: none was named. Throws `invalid_request`. */
export function readSha256(text: string | null): string | null {
  if (text === null || text === "") return null;
  if (/^[0-9a-f]{64}$/i.test(text)) return text.toLowerCase();
  const message = "`sha256` must be 64 hexadecimal digits";
  throw new AppError({ code: "invalid_request", message, param: "sha256" });
}

export function readSwitch(text: string | null, param: string): boolean {
  if (text === null || text === "" || text === "false") return false;
  if (text === "true") return true;
  throw new AppError({ code: "invalid_request", message: `\`${param}\` must be true or false`, param });
}
