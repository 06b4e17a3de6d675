// A GGUF whose answers are written down beforehand: each token has one successor. Embeddings are one-hot, attention and
// feed-forward are zero, and the output matrix maps a token to what follows it, so that any prompt of any length leads to
// the script that its last token begins. Which one that is, the chat template chooses by how many tool results there are.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { type MetadataValue, type TensorSource, writeGguf } from "./gguf-writer.ts";

const CACHE_FOLDER = join(import.meta.dir, "../../build/models");
/** What a built file hangs on, besides its script. */
const SOURCES = ["scripted-model.ts", "gguf-writer.ts"];

/** Prompts of agents have tens of thousands of bytes, and each byte is a token. */
const CONTEXT_LENGTH = 131_072;
const END = "<|im_end|>";
const BEGIN = "<|im_start|>";
const BYTES = 256;
/** `enum llama_token_type`. */
const TOKEN_TYPES = { normal: 1, unknown: 2, control: 3, byte: 6 } as const;
/** Of a logit beside all others: enough for any temperature. */
const OUTPUT_GAIN = 4;

/** Answers by the number of tool results in the conversation, the last one for all further numbers; each in phrases, which all differ. */
export type Script = readonly (readonly string[])[];

/** A call as the template's format has it. */
export function scriptCall(name: string, args: object): string {
  return `<tool_call>\n${JSON.stringify({ name, arguments: args })}\n</tool_call>`;
}

/** The path of the model, built at the first call. */
export function cacheScriptedModel(script: Script): string {
  const hash = createHash("sha256").update(JSON.stringify(script));
  for (const source of SOURCES) hash.update(readFileSync(join(import.meta.dir, source)));
  const path = join(CACHE_FOLDER, `scripted-${hash.digest("hex").slice(0, 16)}.gguf`);
  if (existsSync(path)) return path;
  mkdirSync(CACHE_FOLDER, { recursive: true });
  // Two test processes may build the same model at once.
  const partial = `${path}.${process.pid}.partial`;
  const tokens = listTokens(script);
  writeGguf(partial, { metadata: describe(script, tokens), tensors: planTensors(script, tokens) });
  renameSync(partial, path);
  return path;
}

interface Token {
  text: string;
  type: number;
}

const startOf = (step: number): string => `<|step${step}|>`;

function listTokens(script: Script): Token[] {
  const control = (text: string): Token => ({ text, type: TOKEN_TYPES.control });
  return [
    { text: "<unk>", type: TOKEN_TYPES.unknown },
    ...["<s>", END, BEGIN].map(control),
    ...script.map((_, step) => control(startOf(step))),
    ...Array.from({ length: BYTES }, (_, byte) => ({
      text: `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
      type: TOKEN_TYPES.byte,
    })),
    // Only whole phrases are tokens, and no parts of them, so that prompts have none.
    ...script.flat().map((text) => ({ text: text.replaceAll(" ", "▁"), type: TOKEN_TYPES.normal })),
  ];
}

function describe(script: Script, tokens: readonly Token[]): [string, MetadataValue][] {
  const width = widthOf(tokens);
  const text = (value: string): MetadataValue => ({ type: "string", value });
  const count = (value: number): MetadataValue => ({ type: "u32", value });
  const flag = (value: boolean): MetadataValue => ({ type: "bool", value });
  const find = (wanted: string): number => tokens.findIndex((token) => token.text === wanted);
  return [
    ["general.architecture", text("llama")],
    ["general.name", text("scripted for tests")],
    ["llama.block_count", count(1)],
    ["llama.context_length", count(CONTEXT_LENGTH)],
    ["llama.embedding_length", count(width)],
    ["llama.feed_forward_length", count(HEAD_SIZE)],
    ["llama.attention.head_count", count(1)],
    ["llama.attention.head_count_kv", count(1)],
    ["llama.attention.key_length", count(HEAD_SIZE)],
    ["llama.attention.value_length", count(HEAD_SIZE)],
    ["llama.rope.dimension_count", count(HEAD_SIZE)],
    ["llama.attention.layer_norm_rms_epsilon", { type: "f32", value: 1e-6 }],
    ["tokenizer.ggml.model", text("llama")],
    ["tokenizer.ggml.tokens", { type: "array", of: "string", values: tokens.map((token) => token.text) }],
    ["tokenizer.ggml.scores", { type: "array", of: "f32", values: tokens.map(() => 0) }],
    ["tokenizer.ggml.token_type", { type: "array", of: "i32", values: tokens.map((token) => token.type) }],
    ["tokenizer.ggml.unknown_token_id", count(0)],
    ["tokenizer.ggml.bos_token_id", count(find("<s>"))],
    ["tokenizer.ggml.eos_token_id", count(find(END))],
    ["tokenizer.ggml.add_bos_token", flag(false)],
    ["tokenizer.ggml.add_space_prefix", flag(false)],
    ["tokenizer.chat_template", text(writeTemplate(script.length))],
  ];
}

const HEAD_SIZE = 32;
const widthOf = (tokens: readonly Token[]): number => Math.ceil(tokens.length / HEAD_SIZE) * HEAD_SIZE;

/** What follows what: the phrases of each answer behind its start, then the end. */
function planSuccessors(script: Script, tokens: readonly Token[]): Map<number, number> {
  const successors = new Map<number, number>();
  let phrase = tokens.length - script.flat().length;
  for (const [step, phrases] of script.entries()) {
    let last = tokens.findIndex(({ text }) => text === startOf(step));
    for (const _ of phrases) {
      successors.set(last, phrase);
      last = phrase++;
    }
    successors.set(last, 2);
  }
  return successors;
}

function planTensors(script: Script, tokens: readonly Token[]): TensorSource[] {
  const width = widthOf(tokens);
  const successors = planSuccessors(script, tokens);
  const matrix = (name: string, columns: number, rows: number, fill: TensorSource["fill"]): TensorSource => ({
    name,
    shape: [columns, rows],
    type: "F16",
    fill,
  });
  const zero = (name: string, columns: number, rows: number) => matrix(name, columns, rows, (out) => void out.fill(0));
  const ones = (name: string): TensorSource => ({ name, shape: [width], type: "F32", fill: (out) => void out.fill(1) });
  const set = (out: Float32Array, start: number, row: number, column: number, value: number): void => {
    const at = row * width + column - start;
    if (at >= 0 && at < out.length) out[at] = value;
  };
  return [
    matrix("token_embd.weight", width, tokens.length, (out, start) => {
      out.fill(0);
      for (let token = 0; token < tokens.length; token++) set(out, start, token, token, 1);
    }),
    ones("blk.0.attn_norm.weight"),
    zero("blk.0.attn_q.weight", width, HEAD_SIZE),
    zero("blk.0.attn_k.weight", width, HEAD_SIZE),
    zero("blk.0.attn_v.weight", width, HEAD_SIZE),
    zero("blk.0.attn_output.weight", HEAD_SIZE, width),
    ones("blk.0.ffn_norm.weight"),
    zero("blk.0.ffn_gate.weight", width, HEAD_SIZE),
    zero("blk.0.ffn_up.weight", width, HEAD_SIZE),
    zero("blk.0.ffn_down.weight", HEAD_SIZE, width),
    ones("output_norm.weight"),
    matrix("output.weight", width, tokens.length, (out, start) => {
      out.fill(0);
      for (const [token, next] of successors) set(out, start, next, token, OUTPUT_GAIN);
    }),
  ];
}

/** Messages between marks, tools and calls as JSON between tags. */
function writeTemplate(steps: number): string {
  const args = "(call.function.arguments if call.function.arguments is string else call.function.arguments | tojson)";
  const call = `'<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' + ${args} + '}\\n</tool_call>'`;
  return [
    "{%- set ns = namespace(results=0) -%}",
    `{%- if tools %}{{ '${BEGIN}system\\nTools:\\n' }}{% for tool in tools %}{{ tool | tojson }}{{ '\\n' }}{% endfor %}{{ '${END}\\n' }}{% endif -%}`,
    "{%- for message in messages -%}",
    "{%- if message.role == 'tool' %}{% set ns.results = ns.results + 1 %}",
    `{{ '${BEGIN}user\\n<tool_response>\\n' + message.content + '\\n</tool_response>${END}\\n' }}`,
    `{%- else %}{{ '${BEGIN}' + message.role + '\\n' }}{% if message.content %}{{ message.content }}{% endif %}`,
    `{%- if message.tool_calls %}{% for call in message.tool_calls %}{{ ${call} }}{% endfor %}{% endif %}{{ '${END}\\n' }}{% endif -%}`,
    "{%- endfor -%}",
    `{%- if add_generation_prompt %}{{ '${BEGIN}assistant\\n<|step' + ([ns.results, ${steps - 1}] | min | string) + '|>' }}{% endif -%}`,
  ].join("");
}
