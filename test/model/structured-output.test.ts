// Any schema gives an answer, through llama.cpp and over HTTP, that Ajv accepts, or a warning names the path: as a tool's
// parameters and as the answer's own schema, with answers that are as long as the model likes.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { AGENT_SCHEMAS } from "../support/agent-schemas.ts";
import { readJson } from "../support/http-app.ts";
import { makeRandom } from "../support/random.ts";
import { makeSchema } from "../support/random-schemas.ts";
import {
  askAll,
  CAN_ASK,
  countFinishes,
  type Kind,
  type Question,
  type SchemaServer,
  startSchemaServer,
} from "../support/schema-answers.ts";

const RANDOM_SCHEMAS = 60;
const TOKENS_MAX = 500;
const TIMEOUT_MS = 300_000;

describe.skipIf(!CAN_ASK)("any schema gives an answer", () => {
  let server: SchemaServer;

  beforeAll(async () => {
    server = await startSchemaServer({
      likely: Object.fromEntries(['"', "}", "]", '"}', "0", "1"].map((text) => [text, 10])),
      end: 10,
      temperature: 1,
      tokensMax: TOKENS_MAX,
    });
  }, TIMEOUT_MS);
  afterAll(() => server?.stop());

  async function tryAll(schemas: readonly [name: string, schema: unknown][], kind: Kind): Promise<void> {
    const cases = schemas.map(([name, schema], seed): [string, Question] => [name, { kind, schema, seed }]);
    const tally = await askAll(server, cases);
    console.log(`${kind}: ${JSON.stringify(countFinishes(tally))}`);
    expect(tally.faults).toEqual([]);
    expect((tally.finishes.length ?? []).length).toBeLessThan(cases.length / 4);
  }

  const random = Array.from({ length: RANDOM_SCHEMAS }, (_, seed): [string, unknown] => [
    `seed ${seed}`,
    makeSchema(makeRandom(seed + 5000)),
  ]);

  for (const kind of ["tool", "answer"] as const) {
    test(`agents' schemas, ${kind}`, () => tryAll(Object.entries(AGENT_SCHEMAS), kind), TIMEOUT_MS);
    test(`random schemas, ${kind}`, () => tryAll(random, kind), TIMEOUT_MS);
  }

  test(
    "under `strict` it is right or refused",
    async () => {
      const cases = random
        .slice(0, 30)
        .map(([name, schema], seed): [string, Question] => [name, { kind: "answer", schema, seed, isStrict: true }]);
      expect((await askAll(server, cases)).faults).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    "two tools that refer to themselves keep their own definitions",
    async () => {
      const node = (name: string) => ({
        type: "object",
        properties: { [name]: { anyOf: [{ $ref: "#" }, { type: "null" }] } },
        required: [name],
        additionalProperties: false,
      });
      const tools = ["left", "right"].map((name) => ({
        type: "function",
        function: { name, parameters: node(name), strict: true },
      }));
      let ended = 0;
      for (let seed = 0; seed < 12; seed++) {
        const body = {
          messages: [{ role: "user", content: "Go." }],
          tools,
          tool_choice: "required",
          seed,
          max_tokens: 200,
        };
        const response = await server.post(body);
        const reply = await readJson(response);
        expect(response.status).toBe(200);
        expect(reply.mlo.warnings).toBeUndefined();
        if (reply.choices[0].finish_reason === "tool_calls") ended++;
      }
      expect(ended).toBeGreaterThan(3);
    },
    TIMEOUT_MS,
  );
});
