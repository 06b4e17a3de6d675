// What must hold of the formula whatever the model: more context, sequences, rows or finer cells never take less; layers that
// move to a device leave the host, and nothing is counted twice.

import { describe, expect, test } from "bun:test";
import { bytesPerToken } from "../../../src/models/memory/active-cost.ts";
import { estimateEmbedding, estimateNeed } from "../../../src/models/memory/estimate-need.ts";
import type { LayerShape, ModelShape, ShapeTensor } from "../../../src/models/memory/model-shape.ts";
import { countRepacked, describeRepacking, type RepackRules } from "../../../src/models/memory/repacking.ts";
import { groupWeights, placeLayer, placeTensor } from "../../../src/models/memory/weight-places.ts";
import { KV_TYPES, type LoadSettings, type MemoryNeed } from "../../../src/protocol/memory-need.ts";
import { LOAD } from "../../support/memory-settings.ts";
import { makeRandom } from "../../support/random.ts";

const random = makeRandom(20_261_122);
const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;
const SEEDED = Array.from({ length: 400 }, (_, index) => index);

function makeTensor(name: string, columns: number, rows: number, more: Partial<ShapeTensor> = {}): ShapeTensor {
  const layer = /^blk\.(\d+)/.exec(name)?.[1];
  const bytes = columns * rows * 2;
  const isExpert = name.includes("_exps");
  const at = layer === undefined ? null : Number(layer);
  return { name, type: "F16", columns, rows, bytes, layer: at, isInput: false, isExpert, isMatrix: true, ...more };
}

function makeShape(): ModelShape {
  const width = 64 * (1 + random(64));
  const keyLength = 32 * (1 + random(32));
  const kind = pick(["plain", "recurrent", "hybrid", "experts"] as const);
  const experts = kind === "experts" ? { count: 8, used: 1 + random(4), feedForward: 2 * width } : null;
  const layers = Array.from({ length: 1 + random(48) }, (_, layer): LayerShape => {
    const isState = kind === "recurrent" || (kind === "hybrid" && layer % 2 === 0);
    return {
      keyLength: isState ? 0 : keyLength,
      valueLength: isState ? 0 : keyLength,
      queryLength: isState ? 0 : 2 * keyLength,
      heads: 2,
      convolutionLength: isState ? 3 * width : 0,
      stateLength: isState ? 16 * width : 0,
      innerLength: isState ? 2 * width : 0,
      feedForward: experts === null ? 3 * width : 0,
      hasExperts: experts !== null,
    };
  });
  const vocabulary = 1000 * (1 + random(200));
  const input = makeTensor("token_embd.weight", width, vocabulary, { isInput: true, isMatrix: false });
  const parts = layers.flatMap((_, layer) => [
    makeTensor(`blk.${layer}.attn_q.weight`, width, width),
    experts === null
      ? makeTensor(`blk.${layer}.ffn_up.weight`, width, 3 * width)
      : makeTensor(`blk.${layer}.ffn_up_exps.weight`, width, 2 * width, { bytes: width * 2 * width * 8 * 2 }),
  ]);
  const tied = random(2) === 0;
  return {
    architecture: "any",
    layers,
    headLayers: 0,
    width,
    vocabularySize: vocabulary,
    mergeCount: random(2) * vocabulary,
    trainedContextLength: 1024 * (1 + random(128)),
    hasWindows: kind === "plain" && random(2) === 0,
    experts,
    isEncoder: false,
    embedsOnly: false,
    splitsInputs: true,
    fusesAttention: true,
    tensors: [input, ...parts, ...(tied ? [] : [makeTensor("output.weight", width, vocabulary)])],
    tiesOutput: tied,
  };
}

function makeSettings(): LoadSettings {
  const deviceShares = pick([[], [1], [0.5, 0.5], [0.75, 0.25], [0.2, 0.3, 0.5]]);
  return {
    contextLength: 256 * (1 + random(256)),
    parallel: 1 + random(64),
    retainedMax: random(64),
    batchSize: 2048,
    microBatchSize: 1 + random(2048),
    threads: 1 + random(16),
    kvType: pick(KV_TYPES),
    gpuLayers: deviceShares.length === 0 ? 0 : random(60),
    deviceShares,
    hostExpertLayers: random(20),
  };
}

function total({ host, devices }: MemoryNeed): number {
  return [host, ...devices]
    .flatMap((parts) => Object.values(parts))
    .reduce((sum: number, bytes: number) => sum + bytes, 0);
}

/** Raising it never lowers the need. */
const MORE: Partial<Record<keyof LoadSettings, (settings: LoadSettings) => LoadSettings>> = {
  contextLength: (settings) => ({ ...settings, contextLength: settings.contextLength + 1 + random(20_000) }),
  parallel: (settings) => ({ ...settings, parallel: settings.parallel + 1 + random(60) }),
  retainedMax: (settings) => ({ ...settings, retainedMax: settings.retainedMax + 1 + random(60) }),
  microBatchSize: (settings) => ({
    ...settings,
    microBatchSize: settings.microBatchSize + 1 + random(512),
    batchSize: 4096,
  }),
};

describe("more takes more", () => {
  test.each(Object.entries(MORE))("%s", (name, raise) => {
    for (const seed of SEEDED) {
      const shape = makeShape();
      // A graph has as many rows for each sequence: with a micro batch of one row, that is one.
      const rounds = name === "parallel" || name === "retainedMax";
      const settings = { ...makeSettings(), ...(rounds ? { microBatchSize: 1 } : {}) };
      const less = total(estimateNeed(shape, settings));
      const more = total(estimateNeed(shape, raise(settings)));
      expect([seed, more >= less, Number.isFinite(less) && less > 0]).toEqual([seed, true, true]);
    }
  });

  test("finer cells", () => {
    const order = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "f16", "f32"] as const;
    for (const seed of SEEDED) {
      const shape = makeShape();
      const settings = makeSettings();
      const sizes = order.map((kvType) => total(estimateNeed(shape, { ...settings, kvType })));
      expect([seed, sizes.toSorted((a, b) => a - b)]).toEqual([seed, sizes]);
    }
  });
});

describe("places", () => {
  test("every weight lies in one, but for an output that is the input too", () => {
    for (const _ of SEEDED) {
      const shape = { ...makeShape(), tiesOutput: false };
      const { host, devices } = estimateNeed(shape, makeSettings());
      const weights = [host, ...devices].reduce((sum, parts) => sum + parts.weightsBytes + parts.mappedBytes, 0);
      expect(weights).toBe(shape.tensors.reduce((sum, { bytes }) => sum + bytes, 0));
    }
  });

  test("tensors that are added up beforehand lie where each would lie by itself", () => {
    const repacking = describeRepacking(["avx2"]);
    for (const seed of SEEDED) {
      const shape = makeShape();
      const settings = makeSettings();
      const rules = settings.gpuLayers > 0 ? [] : repacking;
      const expected = { mappedBytes: 0, repackedBytes: 0, deviceBytes: settings.deviceShares.map(() => 0) };
      const add = (tensor: ShapeTensor, mappedBytes: number): void => {
        const place = placeTensor(tensor, shape, settings);
        const copied = countRepacked(tensor, rules);
        if (place !== "host") expected.deviceBytes[place] = (expected.deviceBytes[place] ?? 0) + tensor.bytes;
        else if (copied === null) expected.mappedBytes += mappedBytes;
        else expected.repackedBytes += copied;
      };
      for (const tensor of shape.tensors) {
        if (seed % 2 === 0) tensor.type = "Q4_K";
        add(tensor, tensor.bytes);
        if (tensor.isInput && shape.tiesOutput) add({ ...tensor, isInput: false, isMatrix: true }, 0);
      }
      const placed = groupWeights(shape, { repacking, loadsHead: false })(settings);
      expect([seed, placed]).toEqual([seed, expected]);
    }
  });

  test("one more layer on devices never puts more of the weights on the host", () => {
    for (const seed of SEEDED) {
      const shape = makeShape();
      const settings = { ...makeSettings(), deviceShares: [0.6, 0.4] };
      const hostOf = (gpuLayers: number) => estimateNeed(shape, { ...settings, gpuLayers }).host.mappedBytes;
      expect([seed, hostOf(settings.gpuLayers + 1) <= hostOf(settings.gpuLayers)]).toEqual([seed, true]);
    }
  });

  test("layers go to devices from the last, in the order of the shares", () => {
    const place = (layer: number, changes: Partial<LoadSettings>) => placeLayer(layer, 10, { ...LOAD, ...changes });
    const half = { gpuLayers: 11, deviceShares: [0.5, 0.5] };
    expect([0, 5, 6, 10].map((layer) => place(layer, half))).toEqual([0, 0, 1, 1]);
    expect([0, 8, 9, 10].map((layer) => place(layer, { gpuLayers: 2, deviceShares: [1] }))).toEqual([
      "host",
      "host",
      0,
      0,
    ]);
    expect(place(10, { gpuLayers: 0, deviceShares: [1] })).toBe("host");
    expect(place(10, { gpuLayers: 99, deviceShares: [] })).toBe("host");
  });
});

test("an embedding's context is beside the model's, and has no weights", () => {
  const { host } = estimateEmbedding(makeShape(), LOAD);
  expect([host.weightsBytes, host.mappedBytes]).toEqual([0, 0]);
  expect(host.computeBytes).toBeGreaterThan(0);
});

test("matrices are copied by type, rows and processor", () => {
  const matrix = { ...makeTensor("blk.0.ffn_up.weight", 256, 64), type: "Q4_K" };
  const isCopied = (tensor: ShapeTensor, rules: RepackRules) => countRepacked(tensor, rules) !== null;
  const on = (simd: string[], plugin?: string) => isCopied(matrix, describeRepacking(simd, plugin));
  expect(on(["avx2"])).toBe(true);
  expect(on(["sse4_2"])).toBe(false);
  expect(on(["avx2"], "libggml-cpu-x64.so")).toBe(false);
  expect(on(["asimddp"])).toBe(true);
  const wide = describeRepacking(["avx2", "avx512f", "amx_int8"]);
  expect(isCopied({ ...matrix, type: "Q8_0" }, describeRepacking(["avx2", "avx512f"]))).toBe(false);
  expect(isCopied({ ...matrix, rows: 63 }, describeRepacking(["avx2"]))).toBe(false);
  expect(isCopied({ ...matrix, isMatrix: false }, wide)).toBe(false);
  expect(countRepacked({ ...matrix, type: "Q8_0", bytes: 3400 }, wide)).toBe(3800);
  // Tiles are for plain products; experts have the usual copies, or none.
  expect(isCopied({ ...matrix, type: "Q8_0", isExpert: true }, wide)).toBe(false);
  expect(countRepacked({ ...matrix, isExpert: true }, wide)).toBe(matrix.bytes);
});

describe("what a token costs", () => {
  test("grows with what is before it, by its cells and scores", () => {
    for (const seed of SEEDED) {
      const shape = makeShape();
      const near = bytesPerToken(shape, LOAD, 256).host;
      const far = bytesPerToken(shape, LOAD, 4096).host;
      const attends = shape.layers.some(({ keyLength }) => keyLength > 0);
      expect([seed, far.cacheBytes > near.cacheBytes, far.operations > near.operations]).toEqual([
        seed,
        attends,
        attends,
      ]);
      expect(far.weightBytes).toBe(near.weightBytes);
    }
  });

  test("is that of the experts it goes through", () => {
    const shape = { ...makeShape(), experts: { count: 8, used: 2, feedForward: 128 }, tiesOutput: false };
    const expert = makeTensor("blk.0.ffn_up_exps.weight", 64, 128, { bytes: 64 * 128 * 8 * 2 });
    const { host } = bytesPerToken({ ...shape, tensors: [expert] }, LOAD, 0);
    expect(host.weightBytes).toBe(expert.bytes / 4);
    const states = shape.layers.reduce((sum, { stateLength }) => sum + 4 * stateLength, 0);
    expect(host.operations - states).toBe(2 * 64 * 128 * 2);
  });

  test("lies where the layers do", () => {
    const shape = { ...makeShape(), layers: makeShape().layers.slice(0, 1), tiesOutput: false };
    const all = { ...LOAD, gpuLayers: 2, deviceShares: [1] };
    const { host, devices } = bytesPerToken(shape, all, 100);
    expect(devices[0]?.weightBytes).toBeGreaterThan(0);
    // A row of the input is looked up on the host.
    expect(host.weightBytes).toBe(shape.width * 2);
  });
});
