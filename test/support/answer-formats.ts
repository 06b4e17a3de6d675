// How models of several families write an answer: the raw text that their templates' parsers split again. Test data only.

export interface Answer {
  reasoning?: string;
  content?: string;
  calls?: { name: string; arguments: Record<string, unknown> }[];
}

export interface AnswerFormat {
  /** A file of llama.cpp's models/templates, without its ending. */
  template: string;
  thinks: boolean;
  /** Several calls in one answer. */
  parallel: boolean;
  /** Text before a call. */
  mixes: boolean;
  /** What llama.cpp takes for the start of a call wherever it stands. */
  reserved?: string;
  write: (answer: Answer) => string;
}

type Call = NonNullable<Answer["calls"]>[number];

const json = JSON.stringify;
const each = (answer: Answer, write: (call: Call, index: number) => string, between = ""): string =>
  (answer.calls ?? []).map(write).join(between);
const wrapped = (text: string | undefined, before: string, after: string): string =>
  text === undefined ? "" : before + text + after;
const hasCalls = (answer: Answer): boolean => answer.calls !== undefined;

/** Arguments one by one, text as it is and anything else as JSON. */
function tagged(call: Call, write: (key: string, value: string) => string): string {
  return Object.entries(call.arguments)
    .map(([key, value]) => write(key, typeof value === "string" ? value : json(value)))
    .join("");
}

const hermesCall = (call: Call): string =>
  `<tool_call>\n{"name": ${json(call.name)}, "arguments": ${json(call.arguments)}}\n</tool_call>`;

function gemmaValue(value: unknown): string {
  if (typeof value === "string") return `<|"|>${value}<|"|>`;
  if (Array.isArray(value)) return `[${value.map(gemmaValue).join(",")}]`;
  return json(value);
}

export const ANSWER_FORMATS: AnswerFormat[] = [
  {
    template: "Qwen-Qwen3-0.6B",
    thinks: true,
    parallel: true,
    mixes: true,
    write: (a) => wrapped(a.reasoning, "<think>\n", "\n</think>\n\n") + (a.content ?? "") + each(a, hermesCall, "\n"),
  },
  {
    template: "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
    thinks: false,
    parallel: true,
    mixes: true,
    write: (a) => (a.content ?? "") + each(a, hermesCall, "\n"),
  },
  {
    template: "meta-llama-Llama-3.1-8B-Instruct",
    thinks: false,
    parallel: false,
    mixes: false,
    reserved: "{",
    write: (a) => (a.content ?? "") + each(a, (c) => json({ name: c.name, parameters: c.arguments })),
  },
  {
    template: "mistralai-Mistral-Nemo-Instruct-2407",
    thinks: false,
    parallel: true,
    mixes: true,
    write: (a) =>
      (a.content ?? "") +
      (hasCalls(a)
        ? `[TOOL_CALLS][${each(a, (c, i) => json({ name: c.name, arguments: c.arguments, id: `12345678${i}` }), ", ")}]`
        : ""),
  },
  {
    template: "deepseek-ai-DeepSeek-V3.1",
    thinks: true,
    parallel: true,
    mixes: true,
    write: (a) =>
      `${a.reasoning ?? ""}</think>${a.content ?? ""}` +
      (hasCalls(a)
        ? `<｜tool▁calls▁begin｜>${each(a, (c) => `<｜tool▁call▁begin｜>${c.name}<｜tool▁sep｜>${json(c.arguments)}<｜tool▁call▁end｜>`)}<｜tool▁calls▁end｜>`
        : ""),
  },
  {
    template: "llama-cpp-deepseek-r1",
    thinks: true,
    parallel: true,
    mixes: true,
    write: (a) =>
      `${a.reasoning ?? ""}</think>${a.content ?? ""}` +
      (hasCalls(a)
        ? `<｜tool▁calls▁begin｜>${each(a, (c) => `<｜tool▁call▁begin｜>function<｜tool▁sep｜>${c.name}\n\`\`\`json\n${json(c.arguments)}\n\`\`\`<｜tool▁call▁end｜>`, "\n")}<｜tool▁calls▁end｜>`
        : ""),
  },
  {
    template: "openai-gpt-oss-120b",
    thinks: true,
    parallel: false,
    mixes: true,
    write: (a) => {
      const parts: string[] = [];
      if (a.reasoning !== undefined) parts.push(`<|channel|>analysis<|message|>${a.reasoning}<|end|>`);
      if (a.content !== undefined) {
        const channel = hasCalls(a) ? "commentary" : "final";
        parts.push(`<|channel|>${channel}<|message|>${a.content}${hasCalls(a) ? "<|end|>" : ""}`);
      }
      for (const c of a.calls ?? []) {
        parts.push(`<|channel|>commentary to=functions.${c.name} <|constrain|>json<|message|>${json(c.arguments)}`);
      }
      return parts.join("<|start|>assistant");
    },
  },
  {
    template: "meetkai-functionary-medium-v3.2",
    thinks: false,
    // llama.cpp's parser does not read the ">>>" before a second part.
    parallel: false,
    mixes: false,
    write: (a) =>
      (a.content === undefined ? "" : `all\n${a.content}`) + each(a, (c) => `${c.name}\n${json(c.arguments)}`),
  },
  {
    template: "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
    thinks: true,
    parallel: true,
    mixes: false,
    write: (a) =>
      wrapped(a.reasoning, "<|START_THINKING|>", "<|END_THINKING|>") +
      wrapped(a.content, "<|START_RESPONSE|>", "<|END_RESPONSE|>") +
      (hasCalls(a)
        ? `<|START_ACTION|>[${each(a, (c, i) => json({ tool_call_id: String(i), tool_name: c.name, parameters: c.arguments }), ",")}]<|END_ACTION|>`
        : ""),
  },
  {
    template: "Qwen3-Coder",
    thinks: false,
    parallel: true,
    mixes: true,
    write: (a) =>
      (a.content ?? "") +
      each(
        a,
        (c) =>
          `<tool_call>\n<function=${c.name}>\n${tagged(c, (k, v) => `<parameter=${k}>\n${v}\n</parameter>\n`)}</function>\n</tool_call>`,
        "\n",
      ),
  },
  {
    template: "GLM-4.6",
    thinks: true,
    parallel: true,
    mixes: true,
    write: (a) =>
      wrapped(a.reasoning, "\n<think>", "</think>\n") +
      (a.content ?? "") +
      each(
        a,
        (c) =>
          `\n<tool_call>${c.name}\n${tagged(c, (k, v) => `<arg_key>${k}</arg_key>\n<arg_value>${v}</arg_value>\n`)}</tool_call>`,
      ),
  },
  {
    template: "google-gemma-4-31B-it",
    thinks: true,
    parallel: true,
    mixes: true,
    write: (a) =>
      wrapped(a.reasoning, "<|channel>thought\n", "<channel|>") +
      (a.content ?? "") +
      each(
        a,
        (c) =>
          `<|tool_call>call:${c.name}{${Object.entries(c.arguments)
            .map(([key, value]) => `${key}:${gemmaValue(value)}`)
            .join(",")}}<tool_call|>`,
      ),
  },
];
