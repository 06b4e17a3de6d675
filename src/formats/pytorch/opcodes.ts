// What each opcode of a pickle does to the machine. Protocols 0 to 5, without those that look things up in a registry of
// the running program (extensions) or in buffers beside the file.

import { MARK, type PickleMachine } from "./pickle-machine.ts";
import { isKind, OPAQUE, PickleError, type PickleValue } from "./pickle-values.ts";

type Opcode = (machine: PickleMachine) => void;

/** Digits of a text number: 2^64 has 20. */
const DIGITS_MAX = 400;
/** Bytes of a binary number. */
const LONG_BYTES_MAX = 1_024;

const code = (char: string): number => char.charCodeAt(0);
const pushes =
  (make: (machine: PickleMachine) => PickleValue): Opcode =>
  (machine) =>
    machine.push(make(machine));
const tuple = (items: PickleValue[]): PickleValue => ({ kind: "tuple", items });
const skipBytes = (machine: PickleMachine, bytes: number): PickleValue => {
  machine.skip(bytes);
  return { kind: "bytes", bytes };
};

const NUMBERS: readonly [number, Opcode][] = [
  [code("N"), pushes(() => null)],
  [0x88, pushes(() => true)],
  [0x89, pushes(() => false)],
  [code("I"), pushes((machine) => readTextNumber(machine.line()))],
  [code("L"), pushes((machine) => readTextNumber(machine.line().replace(/L$/, "")))],
  [code("F"), pushes((machine) => Number(machine.line()))],
  [code("J"), pushes((machine) => machine.i32())],
  [code("K"), pushes((machine) => machine.u8())],
  [code("M"), pushes((machine) => machine.u16())],
  [0x8a, pushes((machine) => readLong(machine, machine.u8()))],
  [0x8b, pushes((machine) => readLong(machine, machine.u32()))],
  [code("G"), pushes((machine) => new DataView(machine.bytes(8).buffer).getFloat64(0))],
];

const TEXTS: readonly [number, Opcode][] = [
  [code("S"), pushes((machine) => machine.line().replace(/^(['"])(.*)\1$/, "$2"))],
  [code("V"), pushes((machine) => machine.line())],
  [code("T"), pushes((machine) => machine.text(machine.u32()))],
  [code("U"), pushes((machine) => machine.text(machine.u8()))],
  [code("X"), pushes((machine) => machine.text(machine.u32()))],
  [0x8c, pushes((machine) => machine.text(machine.u8()))],
  [0x8d, pushes((machine) => machine.text(machine.u64()))],
  [code("B"), pushes((machine) => skipBytes(machine, machine.u32()))],
  [code("C"), pushes((machine) => skipBytes(machine, machine.u8()))],
  [0x8e, pushes((machine) => skipBytes(machine, machine.u64()))],
  [0x96, pushes((machine) => skipBytes(machine, machine.u64()))],
];

const CONTAINERS: readonly [number, Opcode][] = [
  [code("("), (machine) => machine.push(MARK)],
  [code("0"), (machine) => machine.drop()],
  [code("1"), (machine) => void machine.popMarked()],
  [code("2"), (machine) => machine.push(machine.top())],
  [code("]"), pushes(() => ({ kind: "list", items: [] }))],
  [code("l"), pushes((machine) => ({ kind: "list", items: machine.popMarked() }))],
  [code("a"), (machine) => append(machine, [machine.pop()])],
  [code("e"), (machine) => append(machine, machine.popMarked())],
  [code(")"), pushes(() => tuple([]))],
  [code("t"), pushes((machine) => tuple(machine.popMarked()))],
  [0x85, pushes((machine) => tuple([machine.pop()]))],
  [0x86, pushes((machine) => tuple([machine.pop(), machine.pop()].reverse()))],
  [0x87, pushes((machine) => tuple([machine.pop(), machine.pop(), machine.pop()].reverse()))],
  [code("}"), pushes(() => ({ kind: "dict", entries: [] }))],
  [code("d"), pushes((machine) => ({ kind: "dict", entries: pairs(machine.popMarked()) }))],
  [code("s"), (machine) => setItems(machine, [machine.pop(), machine.pop()].reverse())],
  [code("u"), (machine) => setItems(machine, machine.popMarked())],
  [0x8f, pushes(() => ({ kind: "set", items: [] }))],
  [0x90, (machine) => append(machine, machine.popMarked())],
  [0x91, pushes((machine) => ({ kind: "set", items: machine.popMarked() }))],
];

const OBJECTS: readonly [number, Opcode][] = [
  [code("c"), pushes((machine) => machine.findGlobal(machine.line(), machine.line()))],
  [0x93, pushes(findStackGlobal)],
  [
    code("R"),
    pushes((machine) => {
      const args = machine.pop();
      return machine.call(machine.pop(), args);
    }),
  ],
  [
    0x81,
    pushes((machine) => {
      const args = machine.pop();
      return machine.call(machine.pop(), args);
    }),
  ],
  [
    0x92,
    pushes((machine) => {
      machine.pop();
      const args = machine.pop();
      return machine.call(machine.pop(), args);
    }),
  ],
  [
    code("i"),
    pushes((machine) => {
      const callee = machine.findGlobal(machine.line(), machine.line());
      return machine.call(callee, tuple(machine.popMarked()));
    }),
  ],
  [
    code("o"),
    pushes((machine) => {
      const [callee, ...args] = machine.popMarked();
      return machine.call(callee ?? null, tuple(args));
    }),
  ],
  // An object's state: attributes that no tensor needs.
  [code("b"), (machine) => void machine.pop()],
  [code("P"), pushes((machine) => machine.findStorage(machine.line()))],
  [code("Q"), pushes((machine) => machine.findStorage(machine.pop()))],
];

const MEMO: readonly [number, Opcode][] = [
  [0x80, (machine) => void machine.u8()],
  // A frame's length: reading goes on as if it was not there.
  [0x95, (machine) => void machine.u64()],
  [code("p"), (machine) => machine.remember(readIndex(machine.line()), machine.top())],
  [code("q"), (machine) => machine.remember(machine.u8(), machine.top())],
  [code("r"), (machine) => machine.remember(machine.u32(), machine.top())],
  [0x94, (machine) => machine.remember(machine.memoSize, machine.top())],
  [code("g"), pushes((machine) => machine.recall(readIndex(machine.line())))],
  [code("h"), pushes((machine) => machine.recall(machine.u8()))],
  [code("j"), pushes((machine) => machine.recall(machine.u32()))],
];

export const OPCODES: ReadonlyMap<number, Opcode> = new Map([...NUMBERS, ...TEXTS, ...CONTAINERS, ...OBJECTS, ...MEMO]);

function readTextNumber(text: string): PickleValue {
  if (text === "00") return false;
  if (text === "01") return true;
  if (text.length > DIGITS_MAX || !/^-?\d+$/.test(text)) throw new PickleError("damaged", "a number that is none");
  return toNumber(BigInt(text));
}

function readIndex(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new PickleError("damaged", "a memo index that is no number");
  return Number(text);
}

/** Little-endian, two's complement. */
function readLong(machine: PickleMachine, count: number): PickleValue {
  if (count > LONG_BYTES_MAX) throw new PickleError("limit", `the pickle claims a number of ${count} bytes`);
  const hex = [...machine.bytes(count)].reverse().map((byte) => byte.toString(16).padStart(2, "0"));
  return toNumber(count === 0 ? 0n : BigInt.asIntN(count * 8, BigInt(`0x${hex.join("")}`)));
}

function toNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function findStackGlobal(machine: PickleMachine): PickleValue {
  const name = machine.pop();
  const module = machine.pop();
  if (typeof name !== "string" || typeof module !== "string") {
    throw new PickleError("damaged", "the pickle asks for a name that is no text");
  }
  return machine.findGlobal(module, name);
}

function append(machine: PickleMachine, items: readonly PickleValue[]): void {
  const target = machine.top();
  if (isKind(target, "list") || isKind(target, "set")) for (const item of items) target.items.push(item);
  else if (!isKind(target, "opaque"))
    throw new PickleError("damaged", "the pickle appends to something that is no list");
}

function setItems(machine: PickleMachine, items: readonly PickleValue[]): void {
  const target = machine.top();
  if (isKind(target, "dict")) for (const pair of pairs(items)) target.entries.push(pair);
  else if (target !== OPAQUE)
    throw new PickleError("damaged", "the pickle sets an item of something that is no dictionary");
}

function pairs(items: readonly PickleValue[]): [PickleValue, PickleValue][] {
  if (items.length % 2 !== 0) throw new PickleError("damaged", "the pickle has a key without a value");
  const found: [PickleValue, PickleValue][] = [];
  for (let index = 0; index < items.length; index += 2) found.push([items[index] ?? null, items[index + 1] ?? null]);
  return found;
}
