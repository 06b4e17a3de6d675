// Models as Ollama lists and shows them. Pure.

import { basename } from "node:path/posix";
import type { ModelCard } from "../../router/inference.ts";
import { addTag } from "./names.ts";
import type { Details, OllamaPsReply, OllamaShowReply, OllamaTagsReply } from "./reply-schema.ts";

/** Of a model that stays: clients want a date, and some can't read one of a later millennium. */
const STAYS_UNTIL = "2999-12-31T23:59:59.000Z";

/** Under its id and each name that a person gave it. Parts and broken files, which can do nothing, are left out. */
export function encodeTags(cards: readonly ModelCard[]): OllamaTagsReply {
  const able = cards.filter(({ capabilities }) => Object.values(capabilities).some(Boolean));
  return {
    models: able.flatMap((card) =>
      [card.id, ...card.givenNames].map((name) => ({
        ...encodeHead(card, name),
        modified_at: encodeDate(card.created),
      })),
    ),
  };
}

export function encodeRunning(cards: readonly ModelCard[], nowMs: number): OllamaPsReply {
  return {
    models: cards.flatMap((card) => {
      const { info, sleepsInMs } = card;
      if (card.state !== "loaded" || info === null) return [];
      const hasGpu = info.devices.some((device) => !device.startsWith("CPU"));
      return [
        {
          ...encodeHead(card, card.id),
          size: info.sizeBytes + (info.draft?.sizeBytes ?? 0),
          expires_at: sleepsInMs === null ? STAYS_UNTIL : new Date(nowMs + sleepsInMs).toISOString(),
          size_vram: hasGpu ? info.sizeBytes : 0,
          context_length: info.sequenceContextLength,
        },
      ];
    }),
  };
}

export function encodeShow(card: ModelCard): OllamaShowReply {
  const { architecture, contextLength, capabilities } = card;
  const known = (fields: Record<string, string | number | null>) =>
    Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
  const family = architecture ?? "unknown";
  return {
    modelfile: `FROM ${basename(card.path)}\n`,
    parameters: contextLength === null ? "" : `num_ctx                        ${contextLength}`,
    template: card.described?.chatTemplate ?? "",
    details: encodeDetails(card),
    model_info: known({
      "general.architecture": architecture,
      "general.basename": card.id,
      "general.parameter_count": card.parameterCount,
      // What clients size their prompts by: so the most that works here.
      [`${family}.context_length`]: contextLength ?? card.trainedContextLength,
      [`${family}.embedding_length`]: card.info?.embeddingLength ?? null,
    }),
    capabilities: [
      ...(capabilities.completion ? ["completion" as const] : []),
      // A chat model can give vectors too, but clients take the word for "this is an embedding model".
      ...(capabilities.embedding && !capabilities.completion ? ["embedding" as const] : []),
      ...(capabilities.tools ? ["tools" as const] : []),
      ...(capabilities.reasoning ? ["thinking" as const] : []),
      ...(capabilities.infill ? ["insert" as const] : []),
      ...(capabilities.vision ? ["vision" as const] : []),
    ],
    modified_at: encodeDate(card.created),
  };
}

function encodeHead(card: ModelCard, name: string) {
  const identity = JSON.stringify([card.path, card.sizeBytes, card.created]);
  return {
    name: addTag(name),
    model: addTag(name),
    size: card.sizeBytes,
    digest: new Bun.CryptoHasher("sha256").update(identity).digest("hex"),
    details: encodeDetails(card),
  };
}

function encodeDetails({ architecture, parameterCount, quantization }: ModelCard): Details {
  return {
    parent_model: "",
    format: "gguf",
    family: architecture ?? "",
    families: architecture === null ? [] : [architecture],
    parameter_size: parameterCount === null ? "" : formatCount(parameterCount),
    quantization_level: quantization ?? "",
  };
}

/** `1.2M`, `7.6B`. */
function formatCount(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)}B`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)}M`;
  return `${(count / 1e3).toFixed(1)}K`;
}

function encodeDate(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
