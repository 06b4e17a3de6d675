// Packed weights are converted to what they stand for: each number as the formula of its method gives it in the test's own
// words (support/packed-weights.ts). And folders that lie about their packing get an error that names the tensor.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { withFile } from "../../../src/formats/read-at.ts";
import { readSafetensorsHeader } from "../../../src/formats/safetensors/read-header.ts";
import { convertFolder, readWritten } from "../../support/convert-folder.ts";
import { PACKABLE, PACKED_MODELS, writePackedFolders } from "../../support/packed-folders.ts";
import { type TensorToWrite, writeSafetensors } from "../../support/safetensors-writer.ts";
import { configOf } from "../../support/tiny-decoders.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-convert-quantized-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
function write(name: string): { packed: string; plain: string } {
  const model = PACKED_MODELS[name];
  if (model === undefined) throw new Error(`no model is called ${name}`);
  const packed = join(root, `${name}-${count++}`);
  writePackedFolders(packed, `${packed}-plain`, model);
  return { packed, plain: `${packed}-plain` };
}

describe("every number is the one that its method means", () => {
  test.each(Object.keys(PACKED_MODELS))("%s", async (name) => {
    const { packed, plain } = write(name);
    const [found, expected] = [await convertFolder(packed), await convertFolder(plain)].map(({ path }) =>
      readWritten(path),
    );
    if (found === undefined || expected === undefined) throw new Error("two files were converted");
    expect(found.tensorNames.toSorted()).toEqual(expected.tensorNames.toSorted());
    for (const tensor of expected.tensorNames) {
      const [own, wanted] = [found.tensor(tensor), expected.tensor(tensor)];
      const same = Buffer.compare(own.data, wanted.data) === 0;
      expect({ tensor, dims: own.dims, type: own.typeId, same }).toEqual({
        tensor,
        dims: wanted.dims,
        type: 0,
        same: true,
      });
    }
  });

  test("to 16 and 8 bits they are rounded once", async () => {
    for (const outType of ["f16", "bf16", "q8_0"] as const) {
      for (const name of ["gptq-4-act-order", "mlx-4", "fp8-block"]) {
        const { packed, plain } = write(name);
        const [found, expected] = [await convertFolder(packed, outType), await convertFolder(plain, outType)];
        const tensor = "blk.1.ffn_down.weight";
        expect(readWritten(found.path).tensor(tensor)).toMatchObject({
          data: readWritten(expected.path).tensor(tensor).data,
        });
      }
    }
  });

  test("auto takes the 16-bit type that the scales have", async () => {
    for (const [name, outType] of [
      ["mlx-4", "bf16"],
      ["mlx-2", "f16"],
      ["gptq-4", "f16"],
    ] as const) {
      expect((await convertFolder(write(name).packed, "auto")).report.outType).toBe(outType);
    }
  });

  test("settings beside config.json", async () => {
    for (const [name, file, settings] of [
      ["gptq-4", "quantize_config.json", { bits: 4, group_size: 32 }],
      ["awq", "quant_config.json", { w_bit: 4, q_group_size: 64, version: "GEMM" }],
      ["fp8-modelopt", "hf_quant_config.json", { producer: { name: "modelopt" }, quantization: { quant_algo: "FP8" } }],
    ] as const) {
      const { packed, plain } = write(name);
      writeFileSync(join(packed, "config.json"), JSON.stringify(configOf(PACKABLE)));
      writeFileSync(join(packed, file), JSON.stringify(settings));
      const [found, expected] = [await convertFolder(packed), await convertFolder(plain)];
      const tensor = "blk.0.attn_q.weight";
      expect(readWritten(found.path).tensor(tensor)).toEqual({
        ...readWritten(expected.path).tensor(tensor),
        offset: expect.any(Number),
      });
    }
  });

  test("biases of zeros beside GPTQ's weights are left out, others are not", async () => {
    const { packed } = write("gptq-4");
    const tensors = readTensors(packed);
    const bias = (layer: string, byte: number): TensorToWrite => ({
      name: `model.layers.0.${layer}.bias`,
      dtype: "F16",
      shape: [128],
      data: new Uint8Array(256).fill(byte),
    });
    const added = [bias("self_attn.q_proj", 0), bias("self_attn.o_proj", 1)];
    writeFileSync(join(packed, "model.safetensors"), writeSafetensors([...tensors.values(), ...added]));
    const names = readWritten((await convertFolder(packed)).path).tensorNames;
    expect(names.filter((name) => name.endsWith(".bias"))).toEqual(["blk.0.attn_output.bias"]);
  });

  test("plain weights stay what they are, whatever the configuration says", async () => {
    const { plain } = write("gptq-4");
    const config = { ...configOf(PACKABLE), quantization_config: { quant_method: "gptq", bits: 4 } };
    writeFileSync(join(plain, "config.json"), JSON.stringify(config));
    expect((await convertFolder(plain)).report.tensorCount).toBe(21);
  });
});

/** The tensors of a folder, for a test to lie with. */
function readTensors(folder: string): Map<string, TensorToWrite> {
  const path = join(folder, "model.safetensors");
  const bytes = new Uint8Array(readFileSync(path));
  const { tensors } = withFile(path, (file) => readSafetensorsHeader(file));
  return new Map(
    [...tensors].map(([name, { dtype, shape, start, end }]) => [
      name,
      { name, dtype, shape, data: bytes.slice(start, end) },
    ]),
  );
}

async function refusalOf(folder: string): Promise<{ code: string; message: string }> {
  const before = readdirSync(root).length;
  const failed = await convertFolder(folder).then(null, (thrown: unknown) => thrown);
  expect(readdirSync(root)).toHaveLength(before);
  const { code, message, hint } = failed as { code: string; message: string; hint: string };
  expect(hint.length).toBeGreaterThan(10);
  return { code, message };
}

const AT = "model.layers.0.self_attn.q_proj.";

type Change = (tensor: TensorToWrite) => Partial<TensorToWrite> | null;
const gone: Change = () => null;
const reshaped =
  (...shape: number[]): Change =>
  () => ({ shape });
const typed =
  (dtype: string): Change =>
  () => ({ dtype });
const filled =
  (byte: number): Change =>
  ({ data }) => ({ data: new Uint8Array(data.length).fill(byte) });

describe("tensors that do not belong together", () => {
  const cases: [model: string, tensor: string, what: string, change: Change, message: string][] = [
    ["gptq-4", "scales", "missing", gone, 'scales" is missing'],
    ["gptq-4", "qzeros", "missing", gone, 'qzeros" is missing'],
    ["gptq-4", "scales", "of another shape", reshaped(128, 4), "where [4, 128] fits"],
    ["gptq-4", "scales", "of another type", typed("I16"), "has the type I16"],
    ["gptq-4", "qweight", "of another type", typed("F32"), "has the type F32"],
    ["gptq-4", "qweight", "as a line", reshaped(2048), "has the shape [2048]"],
    ["gptq-4", "qweight", "of other sizes", reshaped(32, 64), "has the shape [4, 128], where"],
    ["gptq-4-act-order", "g_idx", "out of range", filled(1), "names the group 16843009; there are 4"],
    ["gptq-4-act-order", "g_idx", "negative", filled(255), "names the group -1"],
    ["gptq-4-act-order", "g_idx", "too short", () => ({ shape: [64], data: new Uint8Array(256) }), "where [128] fits"],
    ["awq", "qzeros", "missing", gone, 'qzeros" is missing'],
    ["awq", "scales", "of other sizes", reshaped(1, 256), "has 16 words a row for 256 scales"],
    ["mlx-4", "scales", "missing", gone, 'scales" is missing'],
    ["mlx-4", "biases", "missing", gone, 'biases" is missing'],
    ["mlx-4", "biases", "of another shape", reshaped(2, 128), "where [128, 2] fits"],
    ["fp8-block", "weight_scale_inv", "missing", gone, "is missing"],
    [
      "fp8-rows",
      "weight_scale",
      "of another shape",
      () => ({ shape: [64, 1], data: new Uint8Array(128) }),
      "fits neither the rows of [128, 128]",
    ],
    ["fp8-ragged-block", "weight_scale_inv", "of another shape", reshaped(2, 3), "nor its blocks of 48 × 80"],
    ["packed-4", "weight_shape", "lying", filled(0), "says [0, 0]"],
    ["packed-4", "weight_shape", "absurd", filled(127), "weight_packed"],
    ["packed-4-order", "weight_g_idx", "out of range", filled(2), "names the group 33686018"],
    ["packed-4-zeros", "weight_zero_point", "of another shape", reshaped(4, 16), "weight_zero_point"],
    ["nvfp4-modelopt", "weight_scale_2", "missing", gone, "is missing"],
    ["bitsandbytes-nf4", "weight.absmax", "missing", gone, "is missing"],
    ["bitsandbytes-nf4", "weight.quant_state.bitsandbytes__nf4", "no JSON", filled(33), "holds no JSON object"],
    ["bitsandbytes-int8", "SCB", "missing", gone, "is missing"],
  ];

  test.each(cases)("%s: %s %s", async (model, tensor, _what, change, message) => {
    const { packed } = write(model);
    const tensors = readTensors(packed);
    const found = tensors.get(`${AT}${tensor}`);
    if (found === undefined) throw new Error(`there is no ${tensor}`);
    const changed = change(found);
    if (changed === null) tensors.delete(found.name);
    else tensors.set(found.name, fit({ ...found, ...changed }));
    writeFileSync(join(packed, "model.safetensors"), writeSafetensors([...tensors.values()]));
    const refusal = await refusalOf(packed);
    expect(refusal).toMatchObject({ code: "model_damaged" });
    expect(refusal.message).toContain(message);
    expect(refusal.message).toContain(AT);
  });

  /** A type or a shape that takes as many bytes as there are. */
  function fit(tensor: TensorToWrite): TensorToWrite {
    const sizes: Record<string, number> = {
      F32: 4,
      I32: 4,
      U32: 4,
      I64: 8,
      F16: 2,
      BF16: 2,
      I16: 2,
      U8: 1,
      I8: 1,
      F8_E4M3: 1,
    };
    const bytes = tensor.shape.reduce((a, b) => a * b, 1) * (sizes[tensor.dtype] ?? 1);
    const data = new Uint8Array(bytes);
    data.set(tensor.data.subarray(0, bytes));
    return { ...tensor, data };
  }
});

describe("configurations that do not belong to the tensors, or are not unpacked", () => {
  const cases: [model: string, what: string, config: Record<string, unknown>, code: string, message: string][] = [
    [
      "gptq-4",
      "other bits",
      { quantization_config: { quant_method: "gptq", bits: 8 } },
      "model_damaged",
      "has 4 bits, where the configuration says 8",
    ],
    [
      "gptq-4",
      "absurd bits",
      { quantization_config: { quant_method: "gptq", bits: 1e9 } },
      "model_damaged",
      "1000000000",
    ],
    [
      "gptq-4",
      "marlin",
      { quantization_config: { quant_method: "gptq", bits: 4, checkpoint_format: "marlin" } },
      "format_unsupported",
      '"marlin"',
    ],
    ["gptq-4", "an unknown method", { quantization_config: { quant_method: "aqlm" } }, "format_unsupported", "(aqlm)"],
    ["gptq-4", "no method", { quantization_config: { bits: 4 } }, "format_unsupported", "unknown kind"],
    ["gptq-4", "no configuration", {}, "format_unsupported", "are no part of the architecture"],
    [
      "awq",
      "another version",
      { quantization_config: { quant_method: "awq", bits: 4, version: "gemv_fast" } },
      "format_unsupported",
      '"gemv_fast"',
    ],
    [
      "awq-gemv",
      "groups that do not divide",
      { quantization_config: { quant_method: "awq", bits: 4, version: "gemv", group_size: 48 } },
      "model_damaged",
      "in groups of 48",
    ],
    [
      "awq-gemv",
      "more groups than zero points",
      { quantization_config: { quant_method: "awq", bits: 4, version: "gemv", group_size: 4 } },
      "model_damaged",
      "qzeros",
    ],
    [
      "auto-round-gptq",
      "another packing",
      { quantization_config: { quant_method: "auto-round", packing_format: "auto_round:tritonv2", bits: 4 } },
      "format_unsupported",
      "auto_round:tritonv2",
    ],
    ["mlx-4", "a group of 0", { quantization: { bits: 4, group_size: 0 } }, "model_damaged", '"group_size" must be'],
    ["mlx-4", "absurd bits", { quantization: { bits: 4000, group_size: 64 } }, "format_unsupported", "4000 bits"],
    ["mlx-4", "other bits", { quantization: { bits: 6, group_size: 64 } }, "model_damaged", "do not fill"],
    [
      "mlx-4",
      "another mode",
      { quantization: { bits: 4, group_size: 32, mode: "mxfp4" } },
      "format_unsupported",
      '"mxfp4"',
    ],
    [
      "fp8-block",
      "blocks of 0",
      { quantization_config: { quant_method: "fp8", weight_block_size: [0, 128] } },
      "model_damaged",
      "weight_block_size",
    ],
    [
      "fp8-ragged-block",
      "no blocks",
      { quantization_config: { quant_method: "fp8" } },
      "model_damaged",
      "fits neither",
    ],
    [
      "packed-4",
      "absurd bits",
      {
        quantization_config: {
          quant_method: "compressed-tensors",
          format: "pack-quantized",
          config_groups: { a: { weights: { num_bits: 77 } } },
        },
      },
      "format_unsupported",
      "77 bits",
    ],
    [
      "packed-4",
      "a group of 0",
      {
        quantization_config: {
          quant_method: "compressed-tensors",
          format: "pack-quantized",
          config_groups: { a: { weights: { num_bits: 4, group_size: 0 } } },
        },
      },
      "model_damaged",
      '"group_size"',
    ],
    [
      "packed-4",
      "groups that differ",
      {
        quantization_config: {
          quant_method: "compressed-tensors",
          format: "pack-quantized",
          config_groups: { a: { weights: { num_bits: 4 } }, b: { weights: { num_bits: 8 } } },
        },
      },
      "format_unsupported",
      "pack-quantized",
    ],
    [
      "packed-4",
      "another format",
      { quantization_config: { quant_method: "compressed-tensors", format: "marlin-24", config_groups: {} } },
      "format_unsupported",
      "marlin-24",
    ],
  ];

  test.each(cases)("%s: %s", async (model, _what, config, code, message) => {
    const { packed } = write(model);
    writeFileSync(join(packed, "config.json"), JSON.stringify({ ...configOf(PACKABLE), ...config }));
    const refusal = await refusalOf(packed);
    expect(refusal).toMatchObject({ code });
    expect(refusal.message).toContain(message);
  });
});
