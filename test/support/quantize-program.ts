// A program that quantises one file to q4_k_m and prints the code of its error, or `done`. Like the real one it is started
// again as its own child.

import { locateNativeFiles } from "../../src/router/backends/native-files.ts";
import { quantizeFile } from "../../src/router/conversions/quantize.ts";

const [first = "", target = ""] = process.argv.slice(2);
if (first === "engine") {
  await import("../../src/main.ts");
} else {
  const { library } = await locateNativeFiles("", undefined);
  const request = { source: first, target, fileType: 15, imatrix: null, allowRequantize: false };
  const { signal } = new AbortController();
  await quantizeFile(library, { ...request, signal, onProgress: () => {} }).then(
    () => console.log("done"),
    (thrown: Error & { code?: string }) => console.log(`${thrown.code}: ${thrown.message}`),
  );
}
