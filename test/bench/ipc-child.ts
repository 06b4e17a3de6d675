// The echo at the other end of ipc.ts: over the engine's own socket, or over Bun's IPC.

import { NativeLibrary } from "../../src/ffi/library.ts";
import { NativeSocket } from "../../src/ffi/socket.ts";

const library = process.argv[2];

if (library === undefined) {
  process.on("message", (message) => process.send?.(message));
} else {
  const socket = new NativeSocket(NativeLibrary.open(library), 3);
  for (let open = true; open; ) {
    socket.wait(-1);
    const bytes = socket.read();
    if (bytes === "closed") open = false;
    else if (bytes !== null) socket.write(bytes);
  }
}
