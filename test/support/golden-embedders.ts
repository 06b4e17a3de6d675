// The encoders among the folders of golden-folders.ts.

import type { GoldenFolder } from "./golden-folders.ts";
import { TINY_ENCODERS } from "./tiny-encoder-models.ts";
import { writeEncoderFolder } from "./tiny-encoders.ts";

const folder = (name: string, outTypes: GoldenFolder["outTypes"], adds: readonly string[] = []): GoldenFolder => ({
  name: `tiny-${name}`,
  outTypes,
  adds,
  write: (path) => {
    const found = TINY_ENCODERS[name];
    if (found === undefined) throw new Error(`there is no tiny encoder ${name}`);
    writeEncoderFolder(path, found.model, found.files);
  },
});

export const EMBEDDERS: readonly GoldenFolder[] = [
  folder("bert-mean", ["f32", "f16", "q8_0"]),
  folder("bert-cls", ["bf16"]),
  folder("bert-masked", ["f32"]),
];
