// all-MiniLM-L6-v2, the real one, is converted and served by the compiled binary, and its embeddings are those of
// sentence-transformers (test/golden/minilm.json, made by make-minilm.py). ML_OFFLOAD_MINILM=FOLDER says where the model
// lies; it is not fetched, since everyday tests need no weights. In F32 throughout they rank as the original's do, in F16 they
// are near.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { homeEnvironment, makeFolder, runBinary, startBinary } from "../support/binary.ts";
import type { Server } from "../support/server.ts";

const MODEL = process.env.ML_OFFLOAD_MINILM ?? "";
if (MODEL === "") console.warn("skipped: ML_OFFLOAD_MINILM does not name the folder of all-MiniLM-L6-v2");

const golden = (name: string) => readFileSync(join(import.meta.dir, "../golden", name), "utf8");
const sentences = golden("minilm-sentences.txt").trimEnd().split("\n");

interface Reference {
  tokens: number[];
  dimensions: number;
  embeddings: string;
}

interface Reply {
  data: { embedding: number[] }[];
  usage: { prompt_tokens: number };
}

function readReference(): { tokens: number[]; vectors: Float64Array[] } {
  const { tokens, dimensions, embeddings } = JSON.parse(golden("minilm.json")) as Reference;
  const bytes = Buffer.from(embeddings, "base64");
  const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  const vectors = tokens.map((_, i) => Float64Array.from(all.subarray(i * dimensions, (i + 1) * dimensions)));
  return { tokens, vectors };
}

const dot = (a: Float64Array, b: Float64Array): number =>
  a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
const cosine = (a: Float64Array, b: Float64Array): number => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));

interface Way {
  name: string;
  convert: readonly string[];
  serve: readonly string[];
  cosineMin: number;
  /** Of cosines: two that are nearer have no order. In single precision that is what the reference itself is exact to. */
  tie: number;
}

const WAYS: readonly Way[] = [
  { name: "as it comes, in F16", convert: [], serve: [], cosineMin: 0.9999, tie: 1e-3 },
  { name: "in F32", convert: ["--outtype", "f32"], serve: ["--kv-type", "f32"], cosineMin: 1 - 1e-9, tie: 1e-6 },
];

describe.skipIf(MODEL === "").each(WAYS)("all-MiniLM-L6-v2 $name", ({ convert, serve, cosineMin, tie }) => {
  const reference = readReference();
  const home = makeFolder();
  let server: Server | null = null;
  let found: Float64Array[] = [];

  beforeAll(async () => {
    const path = join(home.path, "all-MiniLM-L6-v2.gguf");
    const env = homeEnvironment(home.path);
    const converted = await runBinary(["convert", MODEL, path, ...convert], { env, cwd: home.path });
    expect(converted).toMatchObject({ code: 0, stdout: `${path}\n` });
    server = await startBinary({ args: ["--model", path, ...serve] });
    found = (await embed(sentences)).data.map(({ embedding }) => Float64Array.from(embedding));
  }, 120_000);

  afterAll(async () => {
    await server?.stop();
    home[Symbol.dispose]();
  });

  async function embed(input: string | string[]): Promise<Reply> {
    const response = await fetch(`${server?.url}/v1/embeddings`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ input }),
    });
    expect(response.status).toBe(200);
    return (await response.json()) as Reply;
  }

  test("embeddings are the original's", () => {
    const cosines = found.map((vector, i) => cosine(vector, reference.vectors[i] as Float64Array));
    console.log(`${cosines.length} sentences, lowest cosine ${Math.min(...cosines)}`);
    expect(cosines).toHaveLength(200);
    expect(Math.min(...cosines)).toBeGreaterThanOrEqual(cosineMin);
  });

  test("texts are cut into as many tokens", async () => {
    for (const [i, text] of sentences.entries()) {
      const { usage } = await embed(text);
      expect({ text, tokens: usage.prompt_tokens }).toEqual({ text, tokens: reference.tokens[i] as number });
    }
  }, 120_000);

  test("each sentence ranks the others as the original does", () => {
    let inverted = 0;
    let widest = 0;
    // How much nearer the original's nearest is than ours, by the original's cosines.
    let farthest = 0;
    for (const [query, expected] of reference.vectors.entries()) {
      const others = reference.vectors.flatMap((vector, i) =>
        i === query ? [] : [{ i, score: cosine(expected, vector) }],
      );
      others.sort((a, b) => b.score - a.score);
      const scores = others.map(({ i }) => dot(found[query] as Float64Array, found[i] as Float64Array));
      // Of each pair of which the second one overtakes the first.
      for (let a = 0; a < others.length; a++) {
        for (let b = a + 1; b < others.length; b++) {
          if ((scores[a] as number) >= (scores[b] as number)) continue;
          inverted++;
          widest = Math.max(widest, (others[a]?.score ?? 0) - (others[b]?.score ?? 0));
        }
      }
      const own = others[scores.indexOf(Math.max(...scores))]?.score ?? Number.NaN;
      farthest = Math.max(farthest, (others[0]?.score ?? 0) - own);
    }
    console.log(`${inverted} of ${200 * ((199 * 198) / 2)} pairs change places, by ${widest} at most`);
    expect(farthest).toBeLessThan(tie);
    expect(widest).toBeLessThan(tie);
  });
});
