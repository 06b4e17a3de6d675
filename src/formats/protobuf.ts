// Protocol Buffers without a schema: the fields of a message, one after the other, without reading what is leapt over.

import { OutOfFileError, type WindowedFile } from "./windowed-file.ts";

export interface ProtobufField {
  number: number;
  /** 0: a number; 1: eight bytes; 2: bytes, text or a message; 5: four bytes. */
  wire: number;
  /** Of wire type 0; else 0. */
  value: number;
  /** Where the bytes lie, for wire type 2. */
  start: number;
  end: number;
}

export class ProtobufError extends Error {
  /** The message goes on behind the file's end. */
  readonly truncated: boolean;

  constructor(message: string, truncated = false) {
    super(message);
    this.name = "ProtobufError";
    this.truncated = truncated;
  }
}

/** Fields that all walks over one file may take together. */
export interface FieldBudget {
  left: number;
}

/** The fields between two places of a file. Throws `ProtobufError`. */
export function* walkFields(
  file: WindowedFile,
  start: number,
  end: number,
  budget: FieldBudget,
): Generator<ProtobufField, void, undefined> {
  let at = start;
  while (at < end) {
    budget.left -= 1;
    if (budget.left < 0) throw new ProtobufError("the message has more fields than are read");
    const tag = readVarint(file, at, end);
    const number = Math.floor(tag.value / 8);
    const wire = tag.value % 8;
    if (number === 0 || number > 536_870_911) throw new ProtobufError(`field number ${number} does not exist`);
    at = tag.next;
    if (wire === 0) {
      const { value, next } = readVarint(file, at, end);
      yield { number, wire, value, start: at, end: next };
      at = next;
    } else if (wire === 2) {
      const length = readVarint(file, at, end);
      const fieldEnd = length.next + length.value;
      if (fieldEnd > end) {
        const cut = fieldEnd > file.sizeBytes;
        throw new ProtobufError(`field ${number} at byte ${at} claims ${length.value} bytes`, cut);
      }
      yield { number, wire, value: 0, start: length.next, end: fieldEnd };
      at = fieldEnd;
    } else if (wire === 1 || wire === 5) {
      const fieldEnd = at + (wire === 1 ? 8 : 4);
      if (fieldEnd > end)
        throw new ProtobufError(`field ${number} reaches beyond its message`, fieldEnd > file.sizeBytes);
      yield { number, wire, value: 0, start: at, end: fieldEnd };
      at = fieldEnd;
    } else {
      throw new ProtobufError(`wire type ${wire} at byte ${at} is not in use`);
    }
  }
}

/** Ten bytes at most; what is over 2^53 loses digits, which no count or length here may have. */
function readVarint(file: WindowedFile, start: number, end: number): { value: number; next: number } {
  let value = 0;
  let factor = 1;
  for (let index = 0; index < 10; index++) {
    if (start + index >= end) throw new ProtobufError("a number reaches beyond its message", end >= file.sizeBytes);
    const byte = readByte(file, start + index);
    value += (byte & 127) * factor;
    if (byte < 128) return { value, next: start + index + 1 };
    factor *= 128;
  }
  throw new ProtobufError(`the number at byte ${start} has no end`);
}

function readByte(file: WindowedFile, at: number): number {
  try {
    return file.u8(at);
  } catch (thrown) {
    if (thrown instanceof OutOfFileError) throw new ProtobufError(thrown.message, true);
    throw thrown;
  }
}
