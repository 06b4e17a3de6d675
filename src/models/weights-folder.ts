// A folder of weights that is no GGUF file: what the detector says of it, as a manifest that can be listed, and the reason
// where it can't be served. Reads headers only.

import { CONVERTIBLE_ARCHITECTURES } from "../formats/convertible.ts";
import { detectFormat } from "../formats/detect.ts";
import type { Detection } from "../formats/detection.ts";
import type { ErrorBody } from "../protocol/errors.ts";
import { isEncoder } from "./architecture.ts";
import { NO_CAPABILITIES } from "./capability.ts";
import { messageOf } from "./found.ts";
import { NO_LINEAGE } from "./lineage.ts";
import { type ManifestResult, type ModelManifest, UNKNOWN_MANIFEST, unreadManifest } from "./manifest.ts";

/** One that can be converted has no error: it is converted when it is asked for. */
export function readWeightsFolder(folder: string): ManifestResult {
  try {
    const found = detectFormat(folder);
    const error = explainDetection(found);
    return {
      manifest: error === null ? toManifest(found) : { ...UNKNOWN_MANIFEST, parameterCount: found.parameterCount },
      error,
      lineage: NO_LINEAGE,
      // Files are missing, or their ends: a download may be on its way.
      incomplete: found.verdict === "damaged",
    };
  } catch (thrown) {
    const message = `${folder} can't be read: ${messageOf(thrown)}`;
    return unreadManifest({ code: "model_damaged", message, hint: "Check the permissions of the folder." });
  }
}

/** What a folder is that a person named as a model and in which none was found; null: nothing can be told of it. */
export function judgeNamed(path: string): "weights" | ErrorBody | null {
  try {
    const found = detectFormat(path);
    if (found.verdict.startsWith("convertible")) return "weights";
    return TELLS_NOTHING.includes(found.format) ? null : explainDetection(found);
  } catch (_unreadable) {
    // The scan of the folder warns about it.
    return null;
  }
}

const TELLS_NOTHING: readonly Detection["format"][] = ["folder", "unknown"];

/** Why it can't be served, and what to do; null: it can, or can be converted. */
export function explainDetection({ path, format, variant, verdict, missing, guidance }: Detection): ErrorBody | null {
  if (verdict === "runs" || verdict.startsWith("convertible")) return null;
  const what = variant === null ? format : `${format}, ${variant}`;
  const lacks =
    missing.length === 0 ? "" : ` Missing: ${missing.slice(0, 3).join(", ")}${missing.length > 3 ? ", …" : ""}.`;
  const { command } = guidance;
  return {
    code: verdict === "damaged" ? "model_damaged" : "format_unsupported",
    message: `${path} (${what}): ${guidance.reason}${lacks}`,
    hint: command ?? "ml-offload show tells more of it; ml-offload search finds GGUF versions.",
  };
}

/** What needs the chat template or the converted file is not known yet, and so not claimed: tools, reasoning, infill. */
function toManifest(found: Detection): ModelManifest {
  const architecture = CONVERTIBLE_ARCHITECTURES.get(found.architecture ?? "")?.gguf ?? found.architecture;
  const encoder = isEncoder(architecture ?? "");
  const generates = !encoder && GENERATES.test(found.architecture ?? "");
  return {
    ...UNKNOWN_MANIFEST,
    architecture,
    quantization: found.quantization,
    parameterCount: found.parameterCount,
    trainedContextLength: found.contextLength,
    hasChatTemplate: found.hasChatTemplate === true,
    embeddingPooling: encoder ? "mean" : "last",
    capabilities: { ...NO_CAPABILITIES, chat: generates, completion: generates, embedding: true },
  };
}

/** Classes of transformers with a head that says the next token; others give vectors. */
const GENERATES = /(ForCausalLM|LMHeadModel|ForConditionalGeneration)$/;
