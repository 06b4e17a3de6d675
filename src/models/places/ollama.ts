// Ollama's models: `manifests/HOST/NAMESPACE/NAME/TAG` is JSON that names blobs by their digests. A model is called
// `name:tag` as in Ollama. Of the other layers the projector and adapters go with it; its template and parameters are in
// Ollama's own language, and the model's own template is used in their place.

import { join } from "node:path";
import type { FoundModels, FoundNames } from "../found.ts";
import { parseJsonObject, readSmallText } from "../small-file.ts";
import { listFolder } from "./list-folder.ts";

/** Manifests are under a kilobyte. */
const MANIFEST_BYTES_MAX = 256 * 1024;
/** Real ones have under ten. */
const LAYERS_MAX = 4_096;
const DIGEST = /^sha256[:-]([0-9a-f]{64})$/;
const LAYER = "application/vnd.ollama.image.";
const HOST = "registry.ollama.ai";
const NAMESPACE = "library";

export function searchOllama(found: FoundModels, root: string): void {
  const manifests = join(root, "manifests");
  for (const host of listFolder(found, manifests)) {
    for (const namespace of listFolder(found, join(manifests, host))) {
      for (const model of listFolder(found, join(manifests, host, namespace))) {
        for (const tag of listFolder(found, join(manifests, host, namespace, model))) {
          if (found.isFull) return;
          addTagged(found, root, [host, namespace, model, tag]);
        }
      }
    }
  }
}

type Tagged = readonly [host: string, namespace: string, model: string, tag: string];

function addTagged(found: FoundModels, root: string, tagged: Tagged): void {
  const path = join(root, "manifests", ...tagged);
  const layers = readLayers(path);
  if (layers === null) {
    found.warn(`${path} is no manifest of Ollama`);
    return;
  }
  const blobsOf = (kind: string): string[] =>
    layers.filter((layer) => layer.kind === kind).map(({ hash }) => join(root, "blobs", `sha256-${hash}`));
  const names = nameTagged(tagged);
  const [model] = blobsOf("model");
  if (model === undefined) {
    const message = `${names.name} of Ollama has no GGUF file: it runs elsewhere, or has weights of another kind`;
    found.addRefused(path, names, false, { code: "format_unsupported", message });
    return;
  }
  found.addParts([model], names, { attached: [...blobsOf("projector"), ...blobsOf("adapter")] });
}

/** `llama3.2:latest`; with its namespace, and with its host where those are not Ollama's own. */
function nameTagged([host, namespace, model, tag]: Tagged): FoundNames {
  const scope = [...(host === HOST ? [] : [host]), ...(host === HOST && namespace === NAMESPACE ? [] : [namespace])];
  const plain = [...scope, model].join("/");
  return {
    name: `${plain}:${tag}`,
    relativeName: `${host}/${namespace}/${model}:${tag}`,
    otherNames: tag === "latest" ? [plain] : [],
    repo: null,
  };
}

interface Layer {
  kind: string;
  hash: string;
}

function readLayers(path: string): Layer[] | null {
  const text = readSmallText(path, MANIFEST_BYTES_MAX);
  const manifest = text === null ? null : parseJsonObject(text);
  if (manifest === null || !Array.isArray(manifest.layers)) return null;
  return manifest.layers.slice(0, LAYERS_MAX).flatMap((layer: unknown) => {
    if (typeof layer !== "object" || layer === null) return [];
    const { mediaType, digest } = layer as Record<string, unknown>;
    const hash = typeof digest === "string" ? DIGEST.exec(digest)?.[1] : undefined;
    const known = typeof mediaType === "string" && mediaType.startsWith(LAYER) && hash !== undefined;
    return known ? [{ kind: mediaType.slice(LAYER.length), hash }] : [];
  });
}
