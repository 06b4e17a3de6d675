// What does not come back whole from llama.cpp's parsers, template by template; what templates.test.ts finds must be
// this and nothing else. Test data only. "left out": the template writes no conversation that has it, so that nothing
// tells how the model would write it. "not understood": the parser takes
// another text than the template writes; a grammar keeps a model to what the parser takes, and any other answer comes as
// content. "as …": what comes back instead.

/** Models that do not think, or whose templates forget what was thought. */
const NO_THOUGHTS = { reasoning: "left out", "reasoning, then a tool": "left out" };
/** Models that were not made for tools, or whose templates do not say how they call them. */
const NO_CALLS = { tools: "left out", "parallel tools": "left out", required: "left out" };

const ADD_CALL = { name: "add_numbers", arguments: { a: 12, note: 'hi "there" <b> & é' } };
const LOOK_CALL = { name: "look_up", arguments: { key: "x, y" } };
const afterThoughts = (content: string, ...calls: object[]): string => `as ${JSON.stringify({ content, calls })}`;

export const TEMPLATE_EXCUSES: Record<string, Record<string, string>> = {
  "Apertus-8B-Instruct": { ...NO_THOUGHTS },
  "Apriel-1.6-15b-Thinker-fixed": {
    plain: 'as {"reasoning":"Here are my reasoning steps:","content":"It is seven."}',
    tools: "not understood",
    "parallel tools": "not understood",
    "tool result": 'as {"reasoning":"Here are my reasoning steps:","content":"It is seven."}',
    reasoning: 'as {"reasoning":"Here are my reasoning steps:\\nLet me see.","content":"It is seven."}',
    "reasoning, then a tool": "not understood",
    required: "not understood",
  },
  "CohereForAI-c4ai-command-r-plus-tool_use": {
    ...NO_CALLS,
    ...NO_THOUGHTS,
    plain: "left out",
    "tool result": "not understood",
  },
  "CohereForAI-c4ai-command-r7b-12-2024-tool_use": {
    reasoning: 'as {"reasoning":"Let me see.<|START_RESPONSE|>It is seven.<|END_RESPONSE|>"}',
  },
  "GigaChat3-10B-A1.8B": { ...NO_THOUGHTS, "parallel tools": "left out" },
  "GigaChat3.1-10B-A1.8B": { ...NO_THOUGHTS, "parallel tools": "left out" },
  "HuggingFaceTB-SmolLM3-3B": { ...NO_THOUGHTS },
  "Kimi-K2-Instruct": { ...NO_THOUGHTS },
  "LFM2-8B-A1B": { ...NO_CALLS, ...NO_THOUGHTS },
  "LFM2.5-Instruct": { ...NO_CALLS, ...NO_THOUGHTS },
  "MiMo-VL": { ...NO_THOUGHTS },
  "MiniMax-M1": { ...NO_THOUGHTS, "parallel tools": "not understood" },
  "MiniMax-M2": { "parallel tools": "not understood" },
  "Mistral-Small-3.2-24B-Instruct-2506": {
    ...NO_THOUGHTS,
    tools: "not understood",
    "parallel tools": "not understood",
    required: "not understood",
  },
  "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": { ...NO_THOUGHTS },
  "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": { ...NO_THOUGHTS },
  "Qwen-Qwen2.5-7B-Instruct": { ...NO_THOUGHTS },
  "Qwen3-Coder": { ...NO_THOUGHTS },
  "deepseek-ai-DeepSeek-V3.2": { "tool result": "not understood" },
  "fireworks-ai-llama-3-firefunction-v2": { ...NO_THOUGHTS },
  "google-gemma-2-2b-it": { ...NO_THOUGHTS, "parallel tools": "left out" },
  "ibm-granite-granite-3.3-2B-Instruct": { ...NO_CALLS, ...NO_THOUGHTS },
  "ibm-granite-granite-4.0": { ...NO_THOUGHTS },
  "ibm-granite-granite-4.1": { ...NO_THOUGHTS },
  // The prompt opens thoughts, and nothing says so.
  "llama-cpp-rwkv-world": {
    plain: 'as {"content":"</think>It is seven."}',
    tools: afterThoughts("</think>", ADD_CALL),
    "parallel tools": afterThoughts("</think>", ADD_CALL, LOOK_CALL),
    "tool result": 'as {"content":"</think>It is seven."}',
    reasoning: 'as {"content":"Let me see.</think>It is seven."}',
    "reasoning, then a tool": afterThoughts("Let me see.</think>", ADD_CALL),
    required: afterThoughts("</think>", ADD_CALL),
  },
  "meetkai-functionary-medium-v3.1": { ...NO_THOUGHTS },
  "meetkai-functionary-medium-v3.2": { ...NO_THOUGHTS, "parallel tools": "not understood" },
  "meta-llama-Llama-3.1-8B-Instruct": { ...NO_THOUGHTS, "parallel tools": "not understood" },
  "meta-llama-Llama-3.2-3B-Instruct": { ...NO_THOUGHTS, "parallel tools": "not understood" },
  "meta-llama-Llama-3.3-70B-Instruct": { ...NO_THOUGHTS, "parallel tools": "not understood" },
  "microsoft-Phi-3.5-mini-instruct": { ...NO_THOUGHTS },
  "mistralai-Mistral-Nemo-Instruct-2407": { ...NO_THOUGHTS },
  "moonshotai-Kimi-K2": { ...NO_THOUGHTS },
  "openai-gpt-oss-120b": {
    "parallel tools": 'as {"calls":[{"name":"add_numbers","arguments":{"a":12,"note":"hi \\"there\\" <b> & é"}}]}',
  },
  "tencent-Hy3": { ...NO_THOUGHTS },
  "unsloth-Apriel-1.5": {
    ...NO_THOUGHTS,
    tools: "not understood",
    "parallel tools": "not understood",
    required: "not understood",
  },
  "unsloth-mistral-Devstral-Small-2507": { ...NO_THOUGHTS },
  "upstage-Solar-Open-100B": {
    ...NO_THOUGHTS,
    tools: "not understood",
    "parallel tools": "not understood",
    "tool result": 'as {"content":"<|content|>It is seven."}',
    required: "not understood",
  },
};
