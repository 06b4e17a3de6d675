// Gives a file another path in the same file system, and never in the place of a file that is there.

import { existsSync, linkSync, renameSync, unlinkSync } from "node:fs";
import { codeOf } from "../lib/system-error.ts";

/** False: something is there already. Throws what the system says. */
export function placeFile(from: string, to: string): boolean {
  try {
    linkSync(from, to);
  } catch (thrown) {
    if (codeOf(thrown) === "EEXIST") return false;
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(codeOf(thrown))) throw thrown;
    // A file system without links, such as exFAT: between the look and the rename another program may come.
    if (existsSync(to)) return false;
    renameSync(from, to);
    return true;
  }
  unlinkSync(from);
  return true;
}
