// Which tokenizer lies in a Hugging Face folder, whether it is whole, and whether a chat template is there. Large files are
// looked at from both ends only: that is enough to tell a whole one from one that was cut or never fetched.

import { join } from "node:path";
import { isRecord } from "../../lib/is-record.ts";
import { type FileSource, fieldOf, readJson, textOf } from "../file-source.ts";
import { readBytes } from "../read-at.ts";

export interface TokenizerFacts {
  /** Such as `BPE (Qwen2Tokenizer)`; null: there is none. */
  name: string | null;
  /** The file that its vocabulary is in; null: there is none. */
  file: string | null;
  hasChatTemplate: boolean;
  /** Files, and keys in them, that a model can't be used without. */
  missing: string[];
}

/** Vocabularies with their added tokens; the longest chat templates are in here too. */
const CONFIG_BYTES_MAX = 8 * 1024 * 1024;
/** Whole vocabularies are 2 to 35 MB and take a tenth of a second to read: only small ones are looked through at a glance. */
const GLANCE_BYTES_MAX = 64 * 1024;
/** The largest published tokenizer.json has 35 MB. */
const THOROUGH_BYTES_MAX = 128 * 1024 * 1024;
const HEAD_BYTES = 64;

/** `thorough` reads a tokenizer.json of any real size. */
export function readTokenizer(source: FileSource, folder: string, thorough: boolean): TokenizerFacts {
  const has = (name: string): boolean => source.stat(join(folder, name))?.kind === "file";
  const config = has("tokenizer_config.json") ? readConfig(source, folder) : { value: null, problem: null };
  const missing = config.problem === null ? [] : [config.problem];
  const className = textOf(fieldOf(config.value, "tokenizer_class"));
  const ownTemplate = fieldOf(config.value, "chat_template");
  const hasChatTemplate =
    textOf(ownTemplate) !== null ||
    (Array.isArray(ownTemplate) && ownTemplate.length > 0) ||
    has("chat_template.jinja") ||
    has("chat_template.json");
  const found = findTokenizer(source, folder, has, thorough);
  missing.push(...found.missing);
  const name = found.kind === null ? null : className === null ? found.kind : `${found.kind} (${className})`;
  return { name, file: found.file, hasChatTemplate, missing };
}

function readConfig(source: FileSource, folder: string): { value: unknown; problem: string | null } {
  const read = readJson(source, join(folder, "tokenizer_config.json"), CONFIG_BYTES_MAX);
  if ("problem" in read) return { value: null, problem: `tokenizer_config.json ${read.problem}` };
  return { value: read.value, problem: null };
}

interface Found {
  kind: string | null;
  file: string | null;
  missing: string[];
}

function findTokenizer(source: FileSource, folder: string, has: (name: string) => boolean, thorough: boolean): Found {
  if (has("tokenizer.json")) return judgeTokenizerJson(source, join(folder, "tokenizer.json"), thorough);
  for (const file of ["tokenizer.model", "sentencepiece.bpe.model"]) {
    if (has(file)) return judgeSentencePiece(source, folder, file);
  }
  if (has("vocab.json")) {
    return {
      kind: "BPE",
      file: "vocab.json",
      missing: has("merges.txt") ? [] : ["merges.txt, which belongs to vocab.json"],
    };
  }
  if (has("vocab.txt")) return { kind: "WordPiece", file: "vocab.txt", missing: [] };
  if (has("tekken.json")) return { kind: "Tekken", file: "tekken.json", missing: [] };
  return {
    kind: null,
    file: null,
    missing: ["a tokenizer: tokenizer.json, tokenizer.model, or vocab.json with merges.txt"],
  };
}

function judgeTokenizerJson(source: FileSource, path: string, thorough: boolean): Found {
  const file = "tokenizer.json";
  const broken = (what: string): Found => ({ kind: file, file, missing: [`${file} ${what}`] });
  const sizeBytes = source.stat(path)?.sizeBytes ?? 0;
  if (sizeBytes > (thorough ? THOROUGH_BYTES_MAX : GLANCE_BYTES_MAX)) {
    const ends = source.use(path, (file) => [
      readText(readBytes(file, 0, HEAD_BYTES)),
      readText(readBytes(file, file.sizeBytes - HEAD_BYTES, HEAD_BYTES)),
    ]);
    const whole = /^\s*\{/.test(ends[0] ?? "") && /\}\s*$/.test(ends[1] ?? "");
    return whole ? { kind: file, file, missing: [] } : broken("is not whole JSON");
  }
  const read = readJson(source, path, THOROUGH_BYTES_MAX);
  if ("problem" in read) return broken(read.problem);
  const model = fieldOf(read.value, "model");
  if (!isRecord(model)) return broken("has no key model");
  const type = textOf(model.type) ?? (model.merges === undefined ? null : "BPE");
  const wanted = type === "BPE" ? ["vocab", "merges"] : ["vocab"];
  const absent = wanted.filter((key) => !isFilled(fieldOf(model, key), key === "merges"));
  return { kind: type ?? file, file, missing: absent.map((key) => `tokenizer.json has no key model.${key}`) };
}

/** Merges may be an empty list: of a vocabulary of single bytes. */
function isFilled(value: unknown, mayBeEmpty: boolean): boolean {
  if (Array.isArray(value)) return mayBeEmpty || value.length > 0;
  return isRecord(value) && Object.keys(value).length > 0;
}

/** A SentencePiece model is a message whose first field is its first piece. */
function judgeSentencePiece(source: FileSource, folder: string, file: string): Found {
  const head = source.use(join(folder, file), (opened) => readBytes(opened, 0, HEAD_BYTES));
  const whole = head[0] === 0x0a && (head[1] ?? 0) > 0;
  const missing = whole ? [] : [`${file} is not a SentencePiece model`];
  return { kind: "SentencePiece", file, missing };
}

function readText(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
