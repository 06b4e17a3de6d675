// The few HTTP calls that the model tests make: the OpenAI routes of both servers, and llama-server's own
// completion route, which tells the tokens and their probabilities before sampling.

import type { Reference } from "./near-ties.ts";

export type PromptInput = string | number[];

/** A test request ends well before; a hung server must not hang the suite. */
const REQUEST_TIMEOUT_MS = 30_000;

export async function postJson(url: string, body: unknown, timeoutMs = REQUEST_TIMEOUT_MS): Promise<Response> {
  return await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(timeoutMs),
  });
}

async function postForJson(url: string, body: unknown): Promise<unknown> {
  const response = await postJson(url, body);
  const text = await response.text();
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${text.slice(0, 500)}`);
  return JSON.parse(text);
}

/** Greedy text of exactly `maxTokens` tokens by way of OpenAI's route. */
export async function completeGreedily(url: string, prompt: PromptInput, maxTokens: number): Promise<string> {
  const body = { prompt, max_tokens: maxTokens, temperature: 0, ignore_eos: true };
  const answer = (await postForJson(`${url}/v1/completions`, body)) as {
    choices: { text: string; finish_reason: string }[];
    usage: { completion_tokens: number };
  };
  const choice = answer.choices[0];
  if (choice === undefined) throw new Error("no choice in the answer");
  if (answer.usage.completion_tokens !== maxTokens || choice.finish_reason !== "length") {
    throw new Error(`${answer.usage.completion_tokens} of ${maxTokens} tokens came (${choice.finish_reason})`);
  }
  return choice.text;
}

interface ListedToken {
  id: number;
  token: string;
  logprob: number;
}

/** The same from llama-server, token by token, with the five best candidates of each step. */
export async function completeReference(url: string, prompt: PromptInput, maxTokens: number): Promise<Reference> {
  const body = { prompt, n_predict: maxTokens, temperature: 0, ignore_eos: true, n_probs: 5, cache_prompt: false };
  const answer = (await postForJson(`${url}/completion`, body)) as {
    content: string;
    completion_probabilities: (ListedToken & { top_logprobs: ListedToken[] })[];
  };
  const steps = answer.completion_probabilities.map((step) => ({
    id: step.id,
    text: step.token,
    candidates: step.top_logprobs.map(({ id, token, logprob }) => ({ id, text: token, logprob })),
  }));
  return { text: answer.content, steps };
}

/** Calls `work` for every item, at most `width` at once; results keep the items' order. */
export async function mapConcurrently<T, R>(items: readonly T[], width: number, work: (item: T) => Promise<R>) {
  const results: R[] = [];
  const queue = [...items.entries()];
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) results[next[0]] = await work(next[1]);
  };
  await Promise.all(Array.from({ length: width }, worker));
  return results;
}

export async function embedInputs(url: string, inputs: readonly PromptInput[]): Promise<number[][]> {
  const answer = (await postForJson(`${url}/v1/embeddings`, { input: inputs, encoding_format: "float" })) as {
    data: { index: number; embedding: number[] }[];
  };
  return answer.data.toSorted((a, b) => a.index - b.index).map((item) => item.embedding);
}
