// Unigram (XLM-RoBERTa's SentencePiece) as GGUF's "t5" tokenizer: pieces with log probabilities, and a table of characters
// that are made alike. From tokenizer.json, or from sentencepiece.bpe.model, whose ids fairseq shifted.

import { isRecord } from "../../lib/is-record.ts";
import { damagedModel, Fields } from "../json-file.ts";
import { listSteps } from "./normalizer.ts";
import { readSentencePieceModel } from "./sentencepiece-model.ts";
import {
  checkTokenId,
  fillVocabulary,
  listAddedTokens,
  looksSpecial,
  TOKEN_TYPES,
  type Token,
  type TokenizerFiles,
  type TokenizerPlan,
  tokenEntries,
} from "./tokenizer-files.ts";

export const PIECES_FILE = "sentencepiece.bpe.model";
const UNUSED_SCORE = -10_000;
/** What fairseq put before the pieces, instead of SentencePiece's own three. */
const FAIRSEQ_TOKENS: readonly string[] = ["<s>", "<pad>", "</s>", "<unk>"];
const SENTENCEPIECE_TOKENS = 3;
/** XLM-RoBERTa's has 316 kB. */
const CHARSMAP_BYTES_MAX = 16 * 1024 * 1024;

interface Unigram {
  tokens: Token[];
  addsPrefix: boolean;
  removesSpaces: boolean;
  charsmap: Uint8Array;
}

export function isUnigram({ tokenizer }: TokenizerFiles): boolean {
  return tokenizer?.object("model")?.text("type") === "Unigram";
}

/** `tokenTypes`: a key that stands in the middle of these. */
export function planUnigram(
  files: TokenizerFiles,
  pieces: Uint8Array | null,
  tokenTypes: TokenizerPlan["entries"],
): TokenizerPlan {
  const { tokens, addsPrefix, removesSpaces, charsmap } = pieces === null ? readJson(files) : readPieces(files, pieces);
  const entries: TokenizerPlan["entries"] = [
    ["tokenizer.ggml.model", { type: "string", value: "t5" }],
    ["tokenizer.ggml.pre", { type: "string", value: "default" }],
    ...tokenEntries(tokens, true),
    ["tokenizer.ggml.add_space_prefix", { type: "bool", value: addsPrefix }],
    ...tokenTypes,
    ["tokenizer.ggml.remove_extra_whitespaces", { type: "bool", value: removesSpaces }],
  ];
  if (charsmap.byteLength > CHARSMAP_BYTES_MAX) throw damagedModel("the tokenizer's table of characters is too large");
  if (charsmap.byteLength > 0) {
    entries.push(["tokenizer.ggml.precompiled_charsmap", { type: "array", of: "u8", values: [...charsmap] }]);
  }
  return { entries, notes: [] };
}

function readPieces(files: TokenizerFiles, bytes: Uint8Array): Unigram {
  const model = readSentencePieceModel(bytes, PIECES_FILE);
  if (!model.isUnigram) throw damagedModel(`${PIECES_FILE} is no unigram model, which it is for this architecture`);
  const own = fillVocabulary(files.vocabularySize, UNUSED_SCORE);
  for (const [id, piece] of model.pieces.entries()) {
    // The last row moves out of the table where all others move up.
    checkTokenId(id, own.length - 1, PIECES_FILE);
    const type = piece.type === TOKEN_TYPES.userDefined ? TOKEN_TYPES.normal : piece.type;
    own[id] = { text: piece.text, type, score: piece.score };
  }
  const frame = FAIRSEQ_TOKENS.map((text): Token => {
    const type = text === "<unk>" ? TOKEN_TYPES.unknown : TOKEN_TYPES.control;
    return { text, type, score: 0 };
  });
  return { tokens: [...frame, ...own.slice(SENTENCEPIECE_TOKENS, -1)], ...model.normalizer };
}

/** What frames a text is in no file then: it is as transformers' class for these models has it. */
export function framePieces(files: TokenizerFiles): TokenizerFiles {
  const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const text = (id: string) => ({ Sequence: { id, type_id: 0 } });
  const single = [special("<s>"), text("A"), special("</s>")];
  const pair = [...single, special("</s>"), text("B"), special("</s>")];
  const added = FAIRSEQ_TOKENS.map((content, id) => ({ id, content, special: true }));
  const names = { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>", sep_token: "</s>", pad_token: "<pad>" };
  return {
    ...files,
    tokenizer: new Fields(PIECES_FILE, {
      added_tokens: added,
      post_processor: { type: "TemplateProcessing", single, pair },
    }),
    settings: new Fields("tokenizer_config.json", { ...names, cls_token: "<s>", ...files.settings?.values }),
  };
}

function readJson(files: TokenizerFiles): Unigram {
  const { tokenizer, vocabularySize } = files;
  const model = tokenizer?.object("model") ?? null;
  if (tokenizer === null || model === null) throw damagedModel("tokenizer.json has no model");
  const tokens = fillVocabulary(vocabularySize, UNUSED_SCORE);
  const unknown = model.value("unk_id");
  const pieces = model.list("vocab");
  if (pieces.length === 0) throw damagedModel("tokenizer.json: the model has no vocab");
  for (const [id, piece] of pieces.entries()) {
    const [text, score] = Array.isArray(piece) ? piece : [];
    if (typeof text !== "string" || typeof score !== "number")
      throw damagedModel(`tokenizer.json: the piece ${id} is no pair`);
    checkTokenId(id, vocabularySize, "tokenizer.json");
    tokens[id] = { text, type: id === unknown ? TOKEN_TYPES.unknown : TOKEN_TYPES.normal, score };
  }
  for (const { id, content, special } of listAddedTokens(files)) {
    const score = tokens[id]?.score ?? UNUSED_SCORE;
    const isControl = special || looksSpecial(content);
    if (id !== unknown)
      tokens[id] = { text: content, type: isControl ? TOKEN_TYPES.control : TOKEN_TYPES.userDefined, score };
  }
  return { tokens, ...readSpaces(tokenizer), charsmap: readCharsmap(tokenizer) };
}

/** SentencePiece's own: a space before a text, and runs of spaces as one. */
function readSpaces(tokenizer: Fields): Pick<Unigram, "addsPrefix" | "removesSpaces"> {
  const steps = listPreTokenizers(tokenizer);
  const metaspace = steps.find((step) => step.text("type") === "Metaspace");
  const scheme = metaspace?.text("prepend_scheme") ?? null;
  const addsPrefix = scheme === null ? (metaspace?.truth("add_prefix_space") ?? false) : scheme !== "never";
  const splits = steps.some((step) => step.text("type") === "WhitespaceSplit");
  const joins = listSteps(tokenizer).some(
    (step) => step.text("type") === "Replace" && step.object("pattern")?.text("Regex") === " {2,}",
  );
  return { addsPrefix, removesSpaces: splits || joins };
}

function listPreTokenizers(tokenizer: Fields): Fields[] {
  const root = tokenizer.object("pre_tokenizer");
  if (root === null) return [];
  if (root.text("type") !== "Sequence") return [root];
  return root
    .list("pretokenizers")
    .filter(isRecord)
    .map((step) => new Fields(root.source, step));
}

function readCharsmap(tokenizer: Fields): Uint8Array {
  const step = listSteps(tokenizer).find((candidate) => candidate.text("type") === "Precompiled");
  return new Uint8Array(Buffer.from(step?.text("precompiled_charsmap") ?? "", "base64"));
}
