// The detector's corpus as one list.

import type { Fixture } from "./corpus-fixture.ts";
import { GGUF_FIXTURES } from "./corpus-gguf.ts";
import { HUGGING_FACE_FIXTURES } from "./corpus-hugging-face.ts";
import { OTHER_FIXTURES } from "./corpus-others.ts";
import { OWN_LAYOUT_FIXTURES } from "./corpus-own-layout.ts";
import { PYTORCH_FIXTURES } from "./corpus-pytorch.ts";

export const FIXTURES: readonly Fixture[] = [
  ...GGUF_FIXTURES,
  ...HUGGING_FACE_FIXTURES,
  ...PYTORCH_FIXTURES,
  ...OWN_LAYOUT_FIXTURES,
  ...OTHER_FIXTURES,
];
