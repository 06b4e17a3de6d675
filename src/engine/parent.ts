// For the server itself: end when the process that started it ends, however that happens.

import { NativeLibrary } from "../ffi/library.ts";
import { dieWithParent } from "../ffi/socket.ts";

export function endWithParent(libraryPath: string): void {
  dieWithParent(NativeLibrary.open(libraryPath), process.ppid);
}
