// The corpus of schemas and random ones, through llama.cpp and over HTTP: none fails its request, nearly all answers end by
// themselves, each of these is valid by Ajv or the relaxation is named, and under `strict` nothing is invalid.
// By default each schema of the corpus is tried once, as a tool or as an answer by turns, and a hundred random ones;
// SCHEMA_CORPUS=all tries each as both, and RANDOM_SCHEMAS=5000 that many, which takes some minutes. RANDOM_SCHEMAS_FROM
// leaves out those before: RANDOM_SCHEMAS_FROM=4711 RANDOM_SCHEMAS=1 is that one alone, which a fault names by its number.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { AGENT_SCHEMAS } from "../support/agent-schemas.ts";
import { makeRandom } from "../support/random.ts";
import { makeSchema } from "../support/random-schemas.ts";
import {
  askAll,
  CAN_ASK,
  countFinishes,
  KINDS,
  type Question,
  type SchemaServer,
  startSchemaServer,
} from "../support/schema-answers.ts";
import { MISTAKEN_SCHEMAS } from "../support/schema-corpus/mistakes.ts";
import { STRUCTURE_SCHEMAS } from "../support/schema-corpus/structures.ts";
import { TOOL_SCHEMAS } from "../support/schema-corpus/tools.ts";
import { VALUE_SCHEMAS } from "../support/schema-corpus/values.ts";

const CORPUS = Object.entries({
  ...AGENT_SCHEMAS,
  ...TOOL_SCHEMAS,
  ...VALUE_SCHEMAS,
  ...STRUCTURE_SCHEMAS,
  ...MISTAKEN_SCHEMAS,
});
const CORPUS_MIN = 300;
const ENDED_MIN = 0.99;
const TRIES_ALL = process.env.SCHEMA_CORPUS === "all";
const RANDOM_SCHEMAS = Number(process.env.RANDOM_SCHEMAS ?? 100);
const RANDOM_SCHEMAS_FROM = Number(process.env.RANDOM_SCHEMAS_FROM ?? 0);
/** Not those of structured-output.test.ts. */
const FIRST_SEED = 100_000;
/** The answer of 120 properties that must be there needs most of them. */
const TOKENS_MAX = 2_000;
/** A text ends before a list does, as closers may stand in texts; and what a pattern waits for comes before those. */
const LIKELY = {
  ...Object.fromEntries(['"', '"}'].map((text) => [text, 80])),
  ...Object.fromEntries(["@", ".", "-", ":", "/", ">", "T", "Z", "md", "foo", "dog"].map((text) => [text, 60])),
  ...Object.fromEntries(["0", "1"].map((text) => [text, 56])),
  ...Object.fromEntries(["}", "]"].map((text) => [text, 50])),
};
const TIMEOUT_MS = 1_800_000;

test(`the corpus has ${CORPUS_MIN} schemas at least`, () => {
  expect(CORPUS.length).toBeGreaterThanOrEqual(CORPUS_MIN);
  expect(new Set(CORPUS.map(([, schema]) => JSON.stringify(schema))).size).toBeGreaterThanOrEqual(CORPUS_MIN);
});

describe.skipIf(!CAN_ASK)("schemas through llama.cpp", () => {
  let server: SchemaServer;

  beforeAll(async () => {
    server = await startSchemaServer({ likely: LIKELY, end: 80, temperature: 2, tokensMax: TOKENS_MAX });
  }, TIMEOUT_MS);
  afterAll(() => server?.stop());

  test(
    "the corpus as tools and as answers",
    async () => {
      const cases = CORPUS.flatMap(([name, schema], seed) =>
        KINDS.filter((_, i) => TRIES_ALL || seed % KINDS.length === i).map((kind): [string, Question] => {
          return [`${kind}, ${name}`, { kind, schema, seed }];
        }),
      );
      const tally = await askAll(server, cases);
      const cut = tally.finishes.length ?? [];
      console.log(`corpus: ${JSON.stringify(countFinishes(tally))}, cut: ${cut.join("; ") || "none"}`);
      expect(tally.faults).toEqual([]);
      expect(cut.length / cases.length).toBeLessThanOrEqual(1 - ENDED_MIN);
    },
    TIMEOUT_MS,
  );

  test(
    `${RANDOM_SCHEMAS} random schemas, strict, and without where that is refused`,
    async () => {
      const cases = Array.from({ length: RANDOM_SCHEMAS }, (_, index): [string, Question] => {
        const seed = RANDOM_SCHEMAS_FROM + index;
        const kind = KINDS[seed % KINDS.length] ?? "tool";
        return [`random ${seed}`, { kind, schema: makeSchema(makeRandom(FIRST_SEED + seed)), seed, isStrict: true }];
      });
      const strict = await askAll(server, cases);
      const refused = new Set(strict.finishes.refused ?? []);
      const loose = cases.filter(([name]) => refused.has(name));
      const relaxed = await askAll(
        server,
        loose.map(([name, question]) => [name, { ...question, isStrict: false }]),
      );
      console.log(
        `random: strict ${JSON.stringify(countFinishes(strict))}, relaxed ${JSON.stringify(countFinishes(relaxed))}`,
      );
      expect([...strict.faults, ...relaxed.faults]).toEqual([]);
      // Of a single one nothing can be said.
      if (cases.length > 1) expect(refused.size).toBeLessThan(cases.length);
    },
    TIMEOUT_MS,
  );
});
