// Writes the folders that goldens are made of, and a list of them, for test/golden/make-goldens.py.
// npx -y bun@1.4.5 test/golden/write-folders.ts DIR

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ADAPTER_GOLDENS, GOLDEN_GROUPS } from "../support/golden-folders.ts";
import { unigramJson, vendoredUnigram } from "../support/unigram-tokenizers.ts";

const [root] = process.argv.slice(2);
if (root === undefined) throw new Error("usage: write-folders.ts DIR");
mkdirSync(root, { recursive: true });
for (const { name, write } of [...Object.values(GOLDEN_GROUPS).flat(), ...ADAPTER_GOLDENS]) write(join(root, name));
const adapters = ADAPTER_GOLDENS.map(({ name, outTypes }) => ({
  group: "adapters",
  name,
  outTypes,
  base: `${name}-base`,
}));
const models = Object.entries(GOLDEN_GROUPS).flatMap(([group, folders]) =>
  folders.map(({ name, outTypes }) => ({ group, name, outTypes })),
);
writeFileSync(join(root, "folders.json"), JSON.stringify([...models, ...adapters], null, 2));
// Beside them the tokenizer that make-unigram-ids.py asks.
writeFileSync(join(root, "unigram.json"), JSON.stringify(unigramJson(vendoredUnigram())["tokenizer.json"]));
