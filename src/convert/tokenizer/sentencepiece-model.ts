// Reads tokenizer.model: the pieces of a SentencePiece model, out of its protobuf. Three fields of one message are all
// that is needed, so this is a reader of the wire format and no protobuf library.
// It trusts nothing: every length is checked against what is there.

import { damagedModel } from "../json-file.ts";

export interface Piece {
  text: string;
  score: number;
  /** As SentencePiece numbers them, which is as GGUF does. */
  type: number;
}

export interface SentencePieceModel {
  pieces: Piece[];
  /** Trained as a unigram model: its scores are log probabilities, not ranks of merges. */
  isUnigram: boolean;
  normalizer: SentencePieceNormalizer;
}

/** How texts are made alike before they are cut. */
export interface SentencePieceNormalizer {
  /** A space before the text. */
  addsPrefix: boolean;
  /** Runs of spaces count as one. */
  removesSpaces: boolean;
  /** A compiled table of characters; empty where there is none. */
  charsmap: Uint8Array;
}

/** The largest published files have 10 MB. */
export const MODEL_BYTES_MAX = 64 * 1024 * 1024;
const PIECES_MAX = 1_048_576;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;
/** ModelProto: pieces = 1, trainer_spec = 2, normalizer_spec = 3. SentencePiece: piece = 1, score = 2, type = 3. TrainerSpec: model_type = 3. */
const PIECES = 1;
const TRAINER = 2;
const NORMALIZER = 3;
const UNIGRAM = 1;
const NORMAL = 1;
/** A byte-order mark is a piece like others: without this it would become an empty one. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** `file`: its name, for messages. */
export function readSentencePieceModel(bytes: Uint8Array, file = "tokenizer.model"): SentencePieceModel {
  try {
    return readModel(bytes);
  } catch (thrown) {
    if (thrown instanceof MessageError) throw damagedModel(`${file} is no SentencePiece model: ${thrown.message}`);
    throw thrown;
  }
}

/** Bytes that are not the message that they should be. */
class MessageError extends Error {}

function readModel(bytes: Uint8Array): SentencePieceModel {
  const model: SentencePieceModel = { pieces: [], isUnigram: true, normalizer: readNormalizer(new Uint8Array()) };
  for (const field of readMessage(bytes)) {
    if (field.number === PIECES && field.bytes !== null) model.pieces.push(readPiece(field.bytes));
    if (field.number === TRAINER && field.bytes !== null) model.isUnigram = readModelType(field.bytes) === UNIGRAM;
    if (field.number === NORMALIZER && field.bytes !== null) model.normalizer = readNormalizer(field.bytes);
    if (model.pieces.length > PIECES_MAX) throw damaged(`it has over ${PIECES_MAX} pieces`);
  }
  if (model.pieces.length === 0) throw damaged("it holds no pieces");
  return model;
}

function readPiece(bytes: Uint8Array): Piece {
  const piece: Piece = { text: "", score: 0, type: NORMAL };
  for (const { number, bytes: inner, value } of readMessage(bytes)) {
    if (number === 1 && inner !== null) piece.text = decoder.decode(inner);
    if (number === 2 && inner?.byteLength === 4)
      piece.score = new DataView(inner.buffer, inner.byteOffset).getFloat32(0, true);
    if (number === 3 && value !== null) piece.type = value;
  }
  return piece;
}

/** The trainer's default is a unigram model. */
function readModelType(bytes: Uint8Array): number {
  let type = UNIGRAM;
  for (const { number, value } of readMessage(bytes)) if (number === 3 && value !== null) type = value;
  return type;
}

/** precompiled_charsmap = 2, add_dummy_prefix = 3, remove_extra_whitespaces = 4; both are the standard. */
function readNormalizer(bytes: Uint8Array): SentencePieceNormalizer {
  const normalizer: SentencePieceNormalizer = { addsPrefix: true, removesSpaces: true, charsmap: new Uint8Array() };
  for (const { number, bytes: inner, value } of readMessage(bytes)) {
    if (number === 2 && inner !== null) normalizer.charsmap = inner;
    if (number === 3 && value !== null) normalizer.addsPrefix = value !== 0;
    if (number === 4 && value !== null) normalizer.removesSpaces = value !== 0;
  }
  return normalizer;
}

interface Field {
  number: number;
  /** Of a varint; null for the rest. */
  value: number | null;
  /** Of everything that has bytes; null for varints. */
  bytes: Uint8Array | null;
}

function* readMessage(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) throw damaged("it ends within a number");
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw damaged("a number in it does not end");
  };
  const take = (count: number): Uint8Array => {
    if (count > bytes.byteLength - at) throw damaged("it ends within a field");
    at += count;
    return bytes.subarray(at - count, at);
  };
  while (at < bytes.byteLength) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case VARINT:
        yield { number, value: varint(), bytes: null };
        break;
      case FIXED64:
        yield { number, value: null, bytes: take(8) };
        break;
      case LENGTH:
        yield { number, value: null, bytes: take(varint()) };
        break;
      case FIXED32:
        yield { number, value: null, bytes: take(4) };
        break;
      default:
        throw damaged(`it has a field of the unknown kind ${tag % 8}`);
    }
  }
}

function damaged(why: string): MessageError {
  return new MessageError(why);
}
