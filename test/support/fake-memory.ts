// The fake backend's memory, of each kind: cells with owners, windows that forget, recurrent states that are those of
// their end only. It behaves as llama.cpp's at its strictest: a window's cell that may be used again is gone at once.
// What is wrong in it shows as another output, as it would in a model.

import { assert } from "../../src/lib/assert.ts";
import type { MemoryKind } from "../../src/protocol/model-info.ts";
import { mix } from "./fake-sampler.ts";

interface Cell {
  /** Sequences that share it. */
  seqIds: Set<number>;
  position: number;
  token: number;
  /** The cache of the layers with a window still has it. */
  inWindow: boolean;
}

/** Of a recurrent cache: all that was read, in one number. Never changed, so sequences may share it. */
export interface FakeRest {
  length: number;
  hash: number;
}

/** Of a sequence's end: some cells before it, and the recurrent state there. */
export interface FakeEnd {
  cells: FakeSlice;
  rest: FakeRest;
}

export type FakeSlice = [position: number, token: number, inWindow: boolean][];

const SEEN_NOTHING = 0x9e3779b9;
/** Tokens that a row of a layer with a window sees before itself. */
const WINDOW = 12;

export class FakeMemory {
  readonly #kind: MemoryKind;
  readonly #size: number;
  #cells: Cell[] = [];
  readonly #rests = new Map<number, FakeRest>();
  /** Of a recurrent cache: what each row of the last batch saw, by sequence and position. */
  readonly #trails = new Map<number, Map<number, number>>();
  readonly #lengths = new Map<number, number>();

  constructor(kind: MemoryKind, size: number) {
    this.#kind = kind;
    this.#size = size;
  }

  get #recurs(): boolean {
    return this.#kind === "recurrent" || this.#kind === "hybrid";
  }

  length(seqId: number): number {
    return this.#lengths.get(seqId) ?? 0;
  }

  hasRoom(cells: number): boolean {
    return this.#kind === "recurrent" || this.#cells.length + cells <= this.#size;
  }

  /** Before rows are added: where the windows have passed, cells with one owner are used again. */
  forget(): void {
    if (this.#kind !== "sliding") return;
    for (const cell of this.#cells) {
      const [owner] = cell.seqIds;
      if (cell.seqIds.size === 1 && owner !== undefined && cell.position < this.length(owner) - WINDOW)
        cell.inWindow = false;
    }
  }

  append(seqId: number, tokens: Int32Array): void {
    const start = this.length(seqId);
    let { hash } = this.#rests.get(seqId) ?? { hash: SEEN_NOTHING };
    const trail = new Map<number, number>();
    for (const [i, token] of tokens.entries()) {
      this.#push(seqId, start + i, token, true);
      hash = mix(mix(hash, start + i), token);
      trail.set(start + i, hash);
    }
    this.#trails.set(seqId, trail);
    this.#lengths.set(seqId, start + tokens.length);
    if (this.#recurs) this.#rests.set(seqId, { length: start + tokens.length, hash });
  }

  /** A hash of all that a row sees: the same in every kind of memory, while nothing is wrong. */
  see(seqId: number, position: number): number {
    const state = this.#trails.get(seqId)?.get(position);
    if (this.#kind === "recurrent") return state ?? 0;
    const visible = this.#of(seqId).filter((cell) => cell.position <= position);
    visible.sort((a, b) => a.position - b.position || a.token - b.token);
    const seen = foldTokens(visible);
    const isWrong =
      (this.#kind === "sliding" && visible.some((cell) => !cell.inWindow && cell.position >= position - WINDOW)) ||
      (this.#kind === "hybrid" && state !== seen);
    return isWrong ? mix(seen, 1) : seen;
  }

  cut(seqId: number, length: number): void {
    assert(length === 0 || !this.#recurs, "a recurrent state can't be taken back");
    for (const cell of this.#of(seqId)) if (cell.position >= length) cell.seqIds.delete(seqId);
    this.#cells = this.#cells.filter((cell) => cell.seqIds.size > 0);
    if (length === 0) this.#rests.delete(seqId);
    this.#lengths.set(seqId, Math.min(this.length(seqId), length));
  }

  /** The cells before `length` stay; the state is another's business. */
  rewind(seqId: number, length: number): void {
    assert(this.#recurs && this.length(seqId) >= length, `sequence ${seqId} can go back to ${length}`);
    for (const cell of this.#of(seqId)) if (cell.position >= length) cell.seqIds.delete(seqId);
    this.#cells = this.#cells.filter((cell) => cell.seqIds.size > 0);
    this.#lengths.set(seqId, length);
    this.#rests.delete(seqId);
  }

  copy(from: number, to: number, length: number): void {
    assert(this.length(to) === 0, `sequence ${to} holds cells`);
    assert(this.length(from) >= length, `sequence ${from} does not hold ${length} cells`);
    for (const cell of this.#of(from)) if (cell.position < length) cell.seqIds.add(to);
    const rest = this.#rests.get(from);
    if (rest !== undefined) this.#rests.set(to, rest);
    this.#lengths.set(to, length);
  }

  covers(seqId: number, length: number): boolean {
    const held = this.length(seqId);
    if (length <= 0 || length > held) return false;
    switch (this.#kind) {
      case "recurrent":
      case "hybrid":
        return length === held && this.#rests.get(seqId)?.length === held;
      case "sliding":
        return this.#of(seqId).every(
          ({ position, inWindow }) => inWindow || position >= length || position < length - WINDOW,
        );
      default:
        return true;
    }
  }

  copySlice(seqId: number, start: number, end: number): FakeSlice {
    const cells = this.#of(seqId).filter(({ position }) => position >= start && position < end);
    assert(cells.length === end - start, `sequence ${seqId} does not hold cells ${start} to ${end}`);
    return cells.map(({ position, token, inWindow }) => [position, token, inWindow]);
  }

  applySlice(slice: FakeSlice, seqId: number, start: number, end: number): void {
    assert(this.length(seqId) === start, `sequence ${seqId} ends at ${start}`);
    if (slice.length !== end - start) throw new Error("too few cells");
    if (slice.some(([position], i) => position !== start + i)) throw new Error("other positions");
    this.forget();
    for (const [position, token, inWindow] of slice) this.#push(seqId, position, token, inWindow);
    this.#lengths.set(seqId, end);
    assert(this.#cells.length <= this.#size, "the cells were there");
  }

  /** rest: null takes the sequence's own. */
  copyEnd(seqId: number, start: number, end: number, rest: FakeRest | null): FakeEnd {
    const own = rest ?? this.#rests.get(seqId);
    assert(own !== undefined, `sequence ${seqId} has no recurrent state`);
    return { cells: this.#kind === "hybrid" ? this.copySlice(seqId, start, end) : [], rest: own };
  }

  /** It does not know its place where there are cells of attention: what is wrong shows in the output. */
  applyRest({ rest }: FakeEnd, seqId: number, length: number): void {
    const isRight = rest.length === length && (this.#kind === "recurrent" || this.length(seqId) === length);
    // A copy: who shares a state shares it because one was forked from the other.
    if (isRight) this.#rests.set(seqId, { ...rest });
    else this.cut(seqId, 0);
    if (!isRight) throw new Error("the state of another place");
    this.#lengths.set(seqId, length);
  }

  /** As llama.cpp counts: attention first, then windows or states. */
  counts(): { size: number; used: number }[] {
    const cells = { size: this.#size, used: this.#cells.length };
    const states = { size: this.#size, used: new Set(this.#rests.values()).size };
    if (this.#kind === "recurrent") return [states];
    if (this.#kind === "hybrid") return [cells, states];
    if (this.#kind !== "sliding") return [cells];
    return [cells, { size: this.#size, used: this.#cells.filter(({ inWindow }) => inWindow).length }];
  }

  #push(seqId: number, position: number, token: number, inWindow: boolean): void {
    if (this.#kind !== "recurrent") this.#cells.push({ seqIds: new Set([seqId]), position, token, inWindow });
  }

  #of(seqId: number): Cell[] {
    return this.#cells.filter((cell) => cell.seqIds.has(seqId));
  }
}

function foldTokens(cells: readonly { position: number; token: number }[]): number {
  return cells.reduce((hash, { position, token }) => mix(mix(hash, position), token), SEEN_NOTHING);
}

/** What a sequence that has read these tokens sees. */
export function seeTokens(tokens: readonly number[]): number {
  return foldTokens(tokens.map((token, position) => ({ position, token })));
}
