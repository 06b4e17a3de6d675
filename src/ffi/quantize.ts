// llama.cpp's quantiser as a job.

import { NativeJob } from "./job.ts";
import { type NativeLibrary, toCText } from "./library.ts";

export interface QuantizeOptions {
  fileType: number;
  threads: number;
  bufferBytes: number;
  allowRequantize: boolean;
  /** Path of an importance matrix. */
  imatrix?: string;
}

/** Writes the model at `source` anew as `target`. Needs no plug-in. */
export function startQuantize(
  library: NativeLibrary,
  source: string,
  target: string,
  options: QuantizeOptions,
): NativeJob<void> {
  const call = "mlo_quantize_start";
  const settings = toCText(JSON.stringify(options));
  const pointer = library.own(call, library.calls.mlo_quantize_start(toCText(source), toCText(target), settings));
  return new NativeJob(library, call, pointer, () => {});
}
