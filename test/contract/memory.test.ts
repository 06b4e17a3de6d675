// What the engine may rely on in a backend's memory, of each kind: sharing, cutting, copying out and back. One suite,
// run against the fake and against llama.cpp with small models.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Backend, SavedState } from "../../src/engine/backend.ts";
import type { MemoryKind } from "../../src/protocol/model-info.ts";
import { FakeBackend } from "../support/fake-backend.ts";
import { finish } from "../support/finish.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import { GEMMA_SPEC, LFM2_SPEC, MAMBA_SPEC, type ModelSpec, TINY_SPEC } from "../support/model-specs.ts";

const SETTINGS = { contextLength: 256, parallel: 3, retainedMax: 1, batchSize: 64, microBatchSize: 64 };
const SHAPES: [MemoryKind, ModelSpec][] = [
  ["plain", TINY_SPEC],
  ["sliding", { ...GEMMA_SPEC, tokenizer: "llama-spm" }],
  ["recurrent", MAMBA_SPEC],
  ["hybrid", LFM2_SPEC],
];

const subjects: [string, MemoryKind, () => Promise<Backend>][] = SHAPES.flatMap(([memory, spec]) => {
  const fake = async (): Promise<Backend> => new FakeBackend({ ...SETTINGS, memory });
  const real = (): Promise<Backend> => loadModelFile(cacheModel(spec), SETTINGS);
  const made: [string, MemoryKind, () => Promise<Backend>][] = [["the fake", memory, fake]];
  return HAS_NATIVE ? [...made, ["llama.cpp", memory, real]] : made;
});

/** Tokens that every vocabulary here has. */
const LONG = Int32Array.from({ length: 48 }, (_, i) => 1 + ((i * 7) % 25));
const OTHER = Int32Array.from({ length: 8 }, (_, i) => 2 + ((i * 5) % 23));
const OUTPUT = 8;
const PREFIX = 20;
const SLICE = 16;

const join2 = (a: Int32Array, b: Int32Array): Int32Array => Int32Array.of(...a, ...b);

describe.each(subjects)("%s with %s memory", (_name, memory, make) => {
  const cutsAnywhere = memory === "plain";
  const sharesPrefixes = memory === "plain" || memory === "sliding";
  if (!sharesPrefixes) console.log(`skipped: ${memory} memory can't be cut; it has checkpoints instead`);
  let backend: Backend;
  let folder: string;

  beforeAll(async () => {
    backend = await make();
    folder = mkdtempSync(join(tmpdir(), "mlo-memory-"));
  });

  afterAll(() => {
    backend[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });

  const used = (): number[] => backend.cells().map((cache) => cache.used);
  const drop = (...seqIds: number[]): void => {
    for (const seqId of seqIds) backend.removeSequence(seqId);
  };

  function read(seqId: number, tokens: Int32Array, start = 0): void {
    expect(backend.decode([{ seqId, tokens, start, output: false }])).toBe("done");
  }

  /** Reads the tokens from `start` on, and answers greedily. */
  function answer(seqId: number, tokens: Int32Array, start = 0): number[] {
    using prompt = finish(backend.preparePrompt({ kind: "tokens", tokens: [...tokens] }, null));
    using sampler = backend.makeSampler({ temperature: 0, ignoreEos: true }, prompt);
    const out: number[] = [];
    let next = tokens.subarray(start);
    for (let at = start; out.length < OUTPUT; at += next.length, next = Int32Array.of(out.at(-1) ?? 0)) {
      expect(backend.decode([{ seqId, tokens: next, start: at, output: true }])).toBe("done");
      const [sampled] = backend.sample([sampler]);
      if (sampled?.kind !== "token") throw new Error("no token");
      out.push(sampled.token);
    }
    return out;
  }

  function answerAlone(tokens: Int32Array): number[] {
    const out = answer(0, tokens);
    drop(0);
    return out;
  }

  test("says its kind", () => expect(backend.info.memory).toBe(memory));

  test("a whole sequence can be another one's beginning, and both go on by themselves", () => {
    const longer = join2(LONG, OTHER);
    const alone = [answerAlone(longer), answerAlone(join2(LONG, OTHER.slice(0, 3)))];
    read(0, LONG);
    const before = used();
    backend.copySequence(0, 1, LONG.length);
    expect(used()).toEqual(before);
    expect([backend.covers(0, LONG.length), backend.covers(1, LONG.length)]).toEqual([true, true]);
    expect(answer(1, longer, LONG.length)).toEqual(alone[0] ?? []);
    expect(answer(0, join2(LONG, OTHER.slice(0, 3)), LONG.length)).toEqual(alone[1] ?? []);
    drop(0, 1);
    expect(used().every((count) => count === 0)).toBe(true);
  });

  test("who holds them last frees the shared cells", () => {
    read(0, LONG);
    backend.copySequence(0, 1, LONG.length);
    const before = used();
    drop(0);
    expect(used()).toEqual(before);
    drop(1);
    expect(used().every((count) => count === 0)).toBe(true);
  });

  test("covers what is there: not more, and not nothing", () => {
    read(0, LONG);
    expect(backend.covers(0, LONG.length)).toBe(true);
    expect([backend.covers(0, LONG.length + 1), backend.covers(0, 0), backend.covers(2, 1)]).toEqual([
      false,
      false,
      false,
    ]);
    // A recurrent state is that of the end alone.
    if (cutsAnywhere) expect(backend.covers(0, PREFIX)).toBe(true);
    if (!sharesPrefixes) expect(backend.covers(0, LONG.length - 1)).toBe(false);
    drop(0);
  });

  test.if(sharesPrefixes)("a prefix can be shared where it is covered, and its owner be cut there", () => {
    const other = join2(LONG.slice(0, PREFIX), OTHER);
    const alone = answerAlone(other);
    read(0, LONG.slice(0, PREFIX));
    backend.copySequence(0, 1, PREFIX);
    read(0, LONG.slice(PREFIX), PREFIX);
    // Two hold these cells, so no window forgets them.
    expect([backend.covers(0, PREFIX), backend.covers(1, PREFIX)]).toEqual([true, true]);
    backend.copySequence(0, 2, PREFIX);
    expect(answer(2, other, PREFIX)).toEqual(alone);
    expect(answer(1, other, PREFIX)).toEqual(alone);
    drop(1, 2);
    if (cutsAnywhere) {
      backend.truncateSequence(0, PREFIX);
      expect(used()).toEqual([PREFIX]);
      expect(answer(0, other, PREFIX)).toEqual(alone);
    }
    drop(0);
  });

  test.if(sharesPrefixes)("rows of the last batch can be taken back", () => {
    const alone = answerAlone(join2(LONG, OTHER));
    read(0, LONG);
    read(0, Int32Array.of(9, 9, 9, 9), LONG.length);
    backend.truncateSequence(0, LONG.length);
    expect(used()[0]).toBe(LONG.length);
    expect(answer(0, join2(LONG, OTHER), LONG.length)).toEqual(alone);
    drop(0);
  });

  /** Copies a sequence to files, slice by slice. */
  function write(seqId: number): string[] {
    const paths: string[] = [];
    for (let start = 0; start < LONG.length; start += SLICE) {
      const path = join(folder, `${start}.kv`);
      using state = backend.copySlice(seqId, start, start + SLICE);
      expect(state.bytes).toBeGreaterThan(0);
      finish(state.write(path, `slice ${start}`, false));
      paths.push(path);
    }
    return paths;
  }

  const load = (path: string): SavedState => finish(backend.readState(path));

  test.if(sharesPrefixes)("slices come back from files as they were, under another seq-id", () => {
    const alone = answerAlone(join2(LONG, OTHER));
    read(0, LONG);
    const before = used();
    const paths = write(0);
    expect(used()).toEqual(before);
    drop(0);
    // Somebody else is there meanwhile, so other cells are taken.
    read(1, OTHER);
    for (const [i, path] of paths.entries()) {
      using state = load(path);
      expect(state.text).toBe(`slice ${i * SLICE}`);
      backend.applySlice(state, 2, i * SLICE, (i + 1) * SLICE);
      expect(used()[0]).toBe(OTHER.length + (i + 1) * SLICE);
    }
    expect(backend.covers(2, LONG.length)).toBe(true);
    expect(answer(2, join2(LONG, OTHER), LONG.length)).toEqual(alone);
    drop(1, 2);
    expect(used().every((count) => count === 0)).toBe(true);
  });

  test.if(sharesPrefixes)("a slice does not come to another place than it had", () => {
    read(0, LONG);
    const [, second = ""] = write(0);
    drop(0);
    using state = load(second);
    expect(() => backend.applySlice(state, 1, 0, SLICE)).toThrow();
    expect(used()[0]).toBe(0);
  });

  test.if(sharesPrefixes)("a file that is not as it was written is refused", () => {
    read(0, LONG);
    const [path = ""] = write(0);
    drop(0);
    const whole = readFileSync(path);
    // The fake's files have no checksum: what it can't parse is all that it finds.
    const damages = backend instanceof FakeBackend ? [0.5] : [0, 0.1, 0.5, 0.99, 1];
    for (const share of damages) {
      writeFileSync(path, whole.subarray(0, Math.floor(share * (whole.length - 1))));
      expect(() => load(path)).toThrow();
    }
    for (const at of backend instanceof FakeBackend ? [] : [0, 9, 20, 40, whole.length >> 1, whole.length - 1]) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ 4;
      writeFileSync(path, damaged);
      expect(() => load(path)).toThrow();
    }
    expect(() => load(join(folder, "none.kv"))).toThrow();
    expect(() => {
      using state = copyOf(OTHER);
      finish(state.write(join(folder, "no", "folder.kv"), "", true));
    }).toThrow();
    drop(0);
  });

  /** Reads a prompt with a checkpoint at PREFIX, and all of its cells of attention in files up to there. */
  function readWithCheckpoint(seqId: number): SavedState {
    read(seqId, LONG.slice(0, PREFIX));
    const rest = backend.copyRest(seqId);
    read(seqId, LONG.slice(PREFIX), PREFIX);
    return rest;
  }

  const checkpoints = (): void => {
    const other = join2(LONG.slice(0, PREFIX), OTHER);

    test("are there in these kinds of memory", () => expect(backend.checkpoints).toBe(true));

    test("one is another sequence's beginning, as often as wanted, while its own goes on", () => {
      const alone = [answerAlone(other), answerAlone(join2(LONG, OTHER))];
      using rest = readWithCheckpoint(0);
      for (const seqId of [1, 2]) {
        if (memory === "hybrid") backend.copySequence(0, seqId, PREFIX);
        backend.applyRest(rest, seqId, PREFIX);
        expect([backend.covers(seqId, PREFIX), backend.covers(seqId, PREFIX - 1)]).toEqual([true, false]);
      }
      // Cells of attention are shared; each has a state of its own.
      expect(used()).toEqual(memory === "hybrid" ? [LONG.length, 3] : [3]);
      expect(answer(2, other, PREFIX)).toEqual(alone[0] ?? []);
      expect(answer(0, join2(LONG, OTHER), LONG.length)).toEqual(alone[1] ?? []);
      expect(answer(1, other, PREFIX)).toEqual(alone[0] ?? []);
      drop(0, 1, 2);
      expect(used().every((count) => count === 0)).toBe(true);
    });

    test.if(memory === "recurrent")("one outlives its sequence, and replaces a state that is there", () => {
      const alone = answerAlone(other);
      using rest = readWithCheckpoint(0);
      drop(0);
      read(1, OTHER);
      backend.applyRest(rest, 1, PREFIX);
      expect(answer(1, other, PREFIX)).toEqual(alone);
      drop(1);
    });

    test("one is not taken for the state of another place", () => {
      using rest = readWithCheckpoint(0);
      const length = PREFIX + 4;
      if (memory === "hybrid") backend.copySequence(0, 1, length);
      expect(() => backend.applyRest(rest, 1, length)).toThrow();
      expect(backend.covers(1, length)).toBe(false);
      drop(0, 1);
      expect(used().every((count) => count === 0)).toBe(true);
    });

    test("a sequence goes back to one, and frees the cells behind it that no other holds", () => {
      const alone = [answerAlone(other), answerAlone(join2(LONG, OTHER))];
      using rest = readWithCheckpoint(0);
      backend.copySequence(0, 1, LONG.length);
      const before = used();
      backend.rewind(0, PREFIX, rest);
      expect(used()).toEqual(before.with(-1, 2));
      expect([backend.covers(0, PREFIX), backend.covers(1, LONG.length)]).toEqual([true, true]);
      expect(answer(0, other, PREFIX)).toEqual(alone[0] ?? []);
      expect(answer(1, join2(LONG, OTHER), LONG.length)).toEqual(alone[1] ?? []);
      drop(0);
      if (memory === "hybrid") expect(used()).toEqual([LONG.length + OTHER.length + OUTPUT - 1, 1]);
      drop(1);
      expect(used().every((count) => count === 0)).toBe(true);
    });

    test("come back from files, with the cells before them, under another seq-id", () => {
      const alone = [answerAlone(other), answerAlone(join2(LONG, OTHER))];
      using rest = readWithCheckpoint(0);
      const before = used();
      const first = join(folder, "first.kv");
      const ends = [join(folder, "checkpoint.kv"), join(folder, "end.kv")];
      {
        using slice = memory === "hybrid" ? backend.copySlice(0, 0, SLICE) : backend.copyRest(0);
        finish(slice.write(first, "slice", false));
        using checkpoint = memory === "hybrid" ? backend.copyEnd(0, SLICE, PREFIX, rest) : null;
        finish((checkpoint ?? rest).write(ends[0] ?? "", "checkpoint", false));
        using end = backend.copyEnd(0, SLICE, LONG.length, null);
        finish(end.write(ends[1] ?? "", "end", true));
      }
      expect(used()).toEqual(before);
      drop(0);
      read(1, OTHER);
      for (const [i, [tokens, length]] of [
        [other, PREFIX] as const,
        [join2(LONG, OTHER), LONG.length] as const,
      ].entries()) {
        if (memory === "hybrid") {
          using slice = load(first);
          backend.applySlice(slice, 2, 0, SLICE);
          expect(backend.covers(2, SLICE)).toBe(false);
        }
        using end = load(ends[i] ?? "");
        backend.applyEnd(end, 2, memory === "hybrid" ? SLICE : 0, length);
        expect(answer(2, tokens, length)).toEqual(alone[i] ?? []);
        drop(2);
      }
      drop(1);
      expect(used().every((count) => count === 0)).toBe(true);
    });

    test("an end does not come to another place than it had, and leaves nothing there", () => {
      using rest = readWithCheckpoint(0);
      using end = memory === "hybrid" ? backend.copyEnd(0, SLICE, PREFIX, rest) : backend.copyRest(0);
      expect(() => backend.applyEnd(end, 1, 0, SLICE)).toThrow();
      drop(0);
      expect(used().every((count) => count === 0)).toBe(true);
    });
  };
  if (!sharesPrefixes) describe("checkpoints", checkpoints);

  function copyOf(tokens: Int32Array): SavedState {
    read(0, tokens);
    return backend.copySlice(0, 0, tokens.length);
  }

  test("leaves no object behind", () => {
    const { job, prompt, sampler, state } = backend.liveHandles();
    expect([job, prompt, sampler, state]).toEqual([0, 0, 0, 0]);
  });
});
