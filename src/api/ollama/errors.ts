// Errors in Ollama's envelope, and which paths are in its dialect. Its clients show `error` and nothing else, so
// that text says what to do as well. Pure.

import { ERROR_KINDS, type ErrorBody, type ErrorCode } from "../../protocol/errors.ts";

export interface OllamaErrorEnvelope {
  error: string;
  code: ErrorCode;
  param?: string;
}

/** Beside these, `/api/` is ours: health, backend and cache. */
const PATHS: ReadonlySet<string> = new Set(
  ["chat", "generate", "embed", "embeddings", "tags", "show", "ps", "version", "copy", "delete", "pull"].map(
    (name) => `/api/${name}`,
  ),
);

/** What needs Ollama's registry of models, or a Modelfile. */
const UNAVAILABLE: Readonly<Record<string, string>> = {
  "/api/push": "models are not pushed to Ollama's registry",
  "/api/create": "models are not made from a Modelfile",
  "/api/blobs": "models are not uploaded as blobs",
};

export function isOllamaPath(pathname: string): boolean {
  const path = pathname.replace(/\/$/, "");
  return PATHS.has(path) || explainUnavailable(path) !== null;
}

/** Of a route of Ollama's that is not here: why, or null. */
export function explainUnavailable(pathname: string): ErrorBody | null {
  const [, api, name] = pathname.split("/");
  const path = `/${api}/${name}`;
  const why = Object.hasOwn(UNAVAILABLE, path) ? UNAVAILABLE[path] : undefined;
  if (why === undefined) return null;
  const hint =
    "Put a GGUF file into the models folder, or start with --model FILE or --models-dir DIR: it appears by itself.";
  return { code: "not_implemented", message: why, hint };
}

export function encodeOllamaError({ code, message, hint, param }: ErrorBody): OllamaErrorEnvelope {
  const what = code === "model_not_found" ? `model not found: ${message}` : message;
  return {
    error: `${what.replace(/\.$/, "")}. ${hint ?? ERROR_KINDS[code].hint}`,
    code,
    ...(param === undefined ? {} : { param }),
  };
}
