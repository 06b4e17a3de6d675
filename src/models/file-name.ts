// Names of files that clients choose: what such a name may be, so that it is one file in one folder on every system and
// nothing else. Pure.

import { AppError } from "../protocol/errors.ts";

/** File systems take 255 bytes; the names of records and of uploads in progress are some longer. */
const NAME_BYTES_MAX = 200;

/** Devices of Windows, with any extension: a folder that is shared with it must stay readable there. */
const DEVICES = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/** Throws `invalid_request` with what is wrong. */
export function checkFileName(name: string, param: string): void {
  const problem = explainProblem(name);
  if (problem === null) return;
  const message = `\`${param}\` ${JSON.stringify(name.slice(0, 80))} can't be a file's name: ${problem}`;
  throw new AppError({ code: "invalid_request", message, hint: "Use letters, digits, -, _ and dots.", param });
}

function explainProblem(name: string): string | null {
  if (name === "") return "it is empty";
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) return `it is longer than ${NAME_BYTES_MAX} bytes`;
  if (/[/\\]/.test(name)) return "it holds a slash";
  if (/[\p{C}<>:"|?*]/u.test(name)) return 'it holds a control character or one of <>:"|?*';
  if (/\s/.test(name)) return "it holds a space";
  if (name.startsWith(".")) return "it begins with a dot, which hides files";
  if (name.endsWith(".")) return "it ends with a dot";
  if (name.startsWith("-")) return "it begins with -, which programs take for an option";
  if (name.includes("=")) return "it holds =, which no model's name does";
  return DEVICES.test(name) ? "Windows means a device by it" : null;
}
