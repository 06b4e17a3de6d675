// Quantises a file in this process, for a one-shot child: it ends when the work is done, or with an error that says why not.

import type { NativeLibrary } from "../../ffi/library.ts";
import type { NativeError } from "../../ffi/native-error.ts";
import { startQuantize } from "../../ffi/quantize.ts";
import { AppError } from "../../protocol/errors.ts";
import type { QuantizeSettings } from "../../protocol/messages.ts";
import type { LoadHooks } from "../llama/open-model.ts";

/** Between two looks at the job; its end wakes the wait early. */
const PROGRESS_MS = 100;

/** Throws AppError. */
export function quantizeFile(library: NativeLibrary, settings: QuantizeSettings, hooks: LoadHooks): void {
  const { source, target, imatrix, fileType, threads, bufferBytes, allowRequantize } = settings;
  const options = { fileType, threads, bufferBytes, allowRequantize, ...(imatrix === null ? {} : { imatrix }) };
  using job = startQuantize(library, source, target, options);
  for (;;) {
    const state = job.poll();
    if (state.kind === "done") return;
    if (state.kind === "failed") throw explain(state.error);
    hooks.onProgress(state.progress);
    hooks.wait(PROGRESS_MS);
  }
}

/** llama.cpp has one kind of error; what it is about only its text tells. */
function explain(error: NativeError): AppError {
  const reason = /failed to quantize: (.*)/s.exec(error.message)?.[1]?.trim() ?? error.message;
  if (/iostream error|basic_ios|basic_filebuf/.test(reason)) {
    const message = "the quantised file can't be written";
    const hint = "Free disk space or check the permissions of the folder, or name another place as DST.";
    return new AppError({ code: "storage_unavailable", message, hint }, { cause: error });
  }
  const message = `llama.cpp can't quantise the model: ${reason}`;
  if (/imatrix|importance matrix/i.test(reason)) {
    const hint = "Give the importance matrix that was made with this model, or choose a larger type.";
    return new AppError({ code: "invalid_request", message, hint }, { cause: error });
  }
  const code = /invalid data|corrupt/i.test(reason) ? "model_damaged" : "format_unsupported";
  return new AppError({ code, message, hint: "The type f16, bf16 or q8_0 may work." }, { cause: error });
}
