// Which files of a repository make up a model that is no GGUF: weights in the repository's own folder, and beside them what
// tells how they are used. Pure.

import type { RepositoryFile } from "./repository.ts";

/** What such a model is called behind the colon. */
export const WEIGHTS_TAG = "safetensors";

/** The first of these kinds that a repository has is its model; names as Hugging Face's own tools look for them. */
const WEIGHTS: readonly RegExp[] = [
  /^model[^/]*\.safetensors$/,
  /^adapter_model\.safetensors$/,
  /^[^/]+\.safetensors$/,
  /^pytorch_model[^/]*\.bin$/,
];
/**
 * Configuration, tokenizer, templates, layers behind an embedding model's pooling, and the model card: its front matter is
 * carried over by a conversion.
 */
const BESIDE =
  /^([^/]*config\.json|tokenizer[^/]*|vocab[^/]*\.(json|txt)|merges\.txt|added_tokens\.json|special_tokens_map\.json|tekken\.json|spiece\.model|sentencepiece[^/]*\.model|chat_template\.(jinja|json)|additional_chat_templates\/[^/]+\.jinja|modules\.json|params\.json|\d+_\w+\/config\.json|\d+_Dense\/model\.safetensors|README\.md|LICENSE[^/]*)$/;
/** Vocabularies have up to 35 MB; what is larger is none of these files, whatever it is called. */
const BESIDE_BYTES_MAX = 128 * 1024 * 1024;

/** Weights first, each by path; null: there are none in a form that is known. */
export function listWeightsSet(files: readonly RepositoryFile[]): RepositoryFile[] | null {
  const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const pattern = WEIGHTS.find((kind) => sorted.some(({ path }) => kind.test(path)));
  if (pattern === undefined) return null;
  const isIndex = (path: string): boolean => pattern.test(path.replace(/\.index\.json$/, ""));
  const beside = sorted.filter(
    ({ path, sizeBytes }) =>
      !pattern.test(path) && (BESIDE.test(path) || isIndex(path)) && sizeBytes <= BESIDE_BYTES_MAX,
  );
  return [...sorted.filter(({ path }) => pattern.test(path)), ...beside];
}
