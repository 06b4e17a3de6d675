// The stack machine that a pickle is written for, with every size bounded. It has no way out: names are compared with a list
// and otherwise refused, and calls are answered by the list's own code.

import { OutOfFileError, type WindowedFile } from "../windowed-file.ts";
import { isAllowedGlobal, rebuild } from "./allowed-globals.ts";
import { isKind, OPAQUE, PickleError, type PickleValue } from "./pickle-values.ts";

/** Values that wait to be put into a container: a batch has 1,000 entries by default. */
const STACK_MAX = 1_000_000;
/** Every name, shape and storage of a checkpoint is remembered once. */
const MEMO_MAX = 2_000_000;
/** Texts of all names and notes together: what is longer is no checkpoint's table of contents. */
const TEXT_BYTES_MAX = 64 * 1024 * 1024;
/** A tensor's name has under 200 characters; a note of a trainer may be longer. */
const TEXT_LENGTH_MAX = 1024 * 1024;
/** Different names that are refused: more need not be told. */
const REFUSED_MAX = 100;
const LINE_BYTES_MAX = 1_024;

/** What stands on the stack where a batch begins. */
export const MARK = Symbol("mark");
export type StackItem = PickleValue | typeof MARK;

/** What a persistent id stands for: a storage, nothing, or a `PickleError`. */
export type PersistentId = (id: PickleValue) => PickleValue;

export class PickleMachine {
  at: number;
  readonly refused = new Set<string>();
  readonly #file: WindowedFile;
  readonly #findStorage: PersistentId;
  readonly #stack: StackItem[] = [];
  readonly #memo = new Map<number, PickleValue>();
  #textBytes = 0;

  constructor(file: WindowedFile, start: number, findStorage: PersistentId) {
    this.#file = file;
    this.at = start;
    this.#findStorage = findStorage;
  }

  u8(): number {
    return this.#file.u8(this.#step(1));
  }

  u16(): number {
    return this.#file.u16(this.#step(2));
  }

  u32(): number {
    return this.#file.u32(this.#step(4));
  }

  i32(): number {
    return this.#file.i32(this.#step(4));
  }

  /** An eight-byte length. */
  u64(): number {
    const value = this.#file.u64(this.#step(8));
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      throw new PickleError("limit", `the pickle claims a length of ${value}`);
    return Number(value);
  }

  /** Few bytes, such as a number's. */
  bytes(count: number): Uint8Array {
    return this.#file.bytes(this.#step(count), count);
  }

  text(count: number): string {
    this.#textBytes += count;
    if (count > TEXT_LENGTH_MAX || this.#textBytes > TEXT_BYTES_MAX) {
      throw new PickleError("limit", `the pickle claims a text of ${count} bytes, or too many texts`);
    }
    return this.#file.text(this.#step(count), count);
  }

  skip(count: number): void {
    if (this.at + count > this.#file.sizeBytes) throw new OutOfFileError(this.at, count, this.#file.sizeBytes);
    this.#step(count);
  }

  /** Up to the end of a line, as the old text protocol has its arguments. */
  line(): string {
    let length = 0;
    while (this.#file.u8(this.at + length) !== 0x0a) {
      length += 1;
      if (length > LINE_BYTES_MAX)
        throw new PickleError("limit", `a line of the pickle is over ${LINE_BYTES_MAX} bytes`);
    }
    const text = this.text(length);
    this.#step(1);
    return text;
  }

  push(item: StackItem): void {
    if (this.#stack.length >= STACK_MAX)
      throw new PickleError("limit", `the pickle's stack is over ${STACK_MAX} values`);
    this.#stack.push(item);
  }

  pop(): PickleValue {
    const item = this.#stack.pop();
    if (item === undefined || item === MARK) throw new PickleError("damaged", "the pickle takes more than it has put");
    return item;
  }

  /** Takes the topmost thing off, a mark as well. */
  drop(): void {
    if (this.#stack.pop() === undefined) throw new PickleError("damaged", "the pickle takes more than it has put");
  }

  top(): PickleValue {
    const item = this.#stack.at(-1);
    if (item === undefined || item === MARK) throw new PickleError("damaged", "the pickle looks at an empty stack");
    return item;
  }

  /** Everything since the last mark, which goes too. */
  popMarked(): PickleValue[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark === -1) throw new PickleError("damaged", "the pickle ends a batch that it has not begun");
    const items = this.#stack.splice(mark);
    return items.slice(1) as PickleValue[];
  }

  remember(index: number, value: PickleValue): void {
    if (this.#memo.size >= MEMO_MAX) throw new PickleError("limit", `the pickle remembers over ${MEMO_MAX} values`);
    this.#memo.set(index, value);
  }

  get memoSize(): number {
    return this.#memo.size;
  }

  recall(index: number): PickleValue {
    const value = this.#memo.get(index);
    if (value === undefined)
      throw new PickleError("damaged", `the pickle recalls the value ${index}, which it never kept`);
    return value;
  }

  /** A name that the pickle asks for: a global of the list, else nothing at all. */
  findGlobal(module: string, name: string): PickleValue {
    const full = `${module}.${name}`;
    if (isAllowedGlobal(full)) return { kind: "global", name: full };
    if (this.refused.size < REFUSED_MAX) this.refused.add(full.replace(/[^\P{C}]/gu, "?").slice(0, 120));
    return OPAQUE;
  }

  /** A call: of an allowed name, or of what was refused, which makes nothing. */
  call(callee: PickleValue, args: PickleValue): PickleValue {
    const items = isKind(args, "tuple") ? args.items : null;
    if (items === null) throw new PickleError("damaged", "the pickle calls a name without a tuple of arguments");
    if (isKind(callee, "opaque")) return OPAQUE;
    if (!isKind(callee, "global")) throw new PickleError("damaged", "the pickle calls something that is no name");
    return rebuild(callee.name, items);
  }

  findStorage(id: PickleValue): PickleValue {
    return this.#findStorage(id);
  }

  #step(count: number): number {
    const at = this.at;
    this.at += count;
    return at;
  }
}
