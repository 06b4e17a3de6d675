// A request to each route, and fields that it ignores or refuses, with values as clients send them: what docs/clients.md
// lists beside the fields of the schemas, and what its test tries.

export interface FieldSamples {
  body: Record<string, unknown>;
  /** Of a field's path → the fields that hold it. They change nothing. */
  ignored?: Record<string, Record<string, unknown>>;
  /** Of a field's path → fields that are refused. */
  refused?: Record<string, Record<string, unknown>>;
}

const HELLO = [{ role: "user", content: "Hello!" }];
const named = (fields: Record<string, unknown>): Record<string, Record<string, unknown>> =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, { [name]: value }]));

const CHAT_IGNORED = named({
  user: "u1",
  metadata: { run: "7" },
  service_tier: "auto",
  store: true,
  prediction: { type: "content", content: "Hello" },
  verbosity: "low",
  safety_identifier: "s",
  prompt_cache_key: "k",
  prompt_cache_retention: "24h",
  modalities: ["text"],
  web_search_options: {},
  functions: [{ name: "f", parameters: {} }],
  function_call: "auto",
});
const PICTURE = { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } };

const OLLAMA_IGNORED = {
  ...named({ truncate: true }),
  ...Object.fromEntries(
    ["num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread"].map((name) => [
      `options.${name}`,
      { options: { [name]: 4096 } },
    ]),
  ),
  ...Object.fromEntries(
    ["numa", "low_vram", "use_mmap", "use_mlock", "penalize_newline"].map((name) => [
      `options.${name}`,
      { options: { [name]: true } },
    ]),
  ),
};
const block = (content: unknown) => ({ messages: [{ role: "user", content: [content] }] });
const IMAGES = [{ type: "image" }];
const DOCUMENT = { type: "document", source: { type: "content", content: IMAGES } };
const SEARCH_RESULT = { type: "search_result", source: "a", title: "b", content: IMAGES };
const asResult = (content: unknown) => ({
  messages: [
    ...HELLO,
    { role: "assistant", content: [{ type: "tool_use", id: "t", name: "f", input: {} }] },
    { role: "user", content: [{ type: "tool_result", tool_use_id: "t", content: [content] }] },
  ],
});
const ANTHROPIC_REFUSED = {
  "messages[].content[].source.content[].type": block(DOCUMENT),
  "messages[].content[].content[].source.content[].type": asResult(DOCUMENT),
  "messages[].content[].content[].content[].type": asResult(SEARCH_RESULT),
  "system[].type": { system: [{ type: "image" }] },
  "tools[].type": { tools: [{ type: "bash_20250124", name: "bash" }] },
  thread: { thread: { id: "t" } },
  mcp_servers: { mcp_servers: [{ type: "url", url: "http://127.0.0.1/", name: "m" }] },
};
const ANTHROPIC_IGNORED = named({
  service_tier: "auto",
  container: "c",
  context_management: { edits: [] },
  inference_geo: "eu",
  betas: ["b"],
});

export const FIELD_SAMPLES: Record<string, FieldSamples> = {
  "POST /v1/chat/completions": {
    body: { messages: HELLO },
    ignored: CHAT_IGNORED,
    refused: {
      "messages[].content[].type": { messages: [{ role: "user", content: [PICTURE] }] },
      "tools[].type": { tools: [{ type: "web_search" }] },
    },
  },
  "POST /v1/completions": {
    body: { prompt: "Hello" },
    ignored: named({ user: "u1", metadata: {}, store: false }),
  },
  "POST /v1/embeddings": {
    body: { input: "Hello" },
    ignored: named({ user: "u1" }),
  },
  "POST /v1/messages": {
    body: { max_tokens: 8, messages: HELLO },
    ignored: ANTHROPIC_IGNORED,
    refused: ANTHROPIC_REFUSED,
  },
  "POST /v1/messages/count_tokens": { body: { messages: HELLO }, refused: ANTHROPIC_REFUSED },
  "POST /api/chat": {
    body: { messages: HELLO },
    ignored: OLLAMA_IGNORED,
    refused: {
      "messages[].images": { messages: [{ role: "user", content: "Look", images: ["AA=="] }] },
      "tools[].type": { tools: [{ type: "custom" }] },
    },
  },
  "POST /api/generate": {
    body: { prompt: "Hello" },
    ignored: { ...OLLAMA_IGNORED, ...named({ context: [1, 2] }) },
    refused: { images: { images: ["AA=="] }, template: { template: "{{ .Prompt }}" } },
  },
  "POST /api/embed": {
    body: { input: "Hello" },
    ignored: named({ truncate: true, options: { num_ctx: 4096 } }),
  },
  "POST /api/embeddings": {
    body: { prompt: "Hello" },
    ignored: named({ truncate: true, options: { num_ctx: 4096 } }),
  },
  "POST /v1/responses": {
    // Else each request would be a conversation of its own.
    body: { input: "Hello", store: false, prompt_cache_key: "k" },
    ignored: {
      ...named({ user: "u1", safety_identifier: "s", service_tier: "auto", max_tool_calls: 3, stream_options: {} }),
      "text.verbosity": { text: { verbosity: "low" } },
    },
    refused: named({ prompt: { id: "p" } }),
  },
  "POST /v1/responses/input_tokens": {
    body: { input: "Hello" },
    ignored: { "text.verbosity": { text: { verbosity: "low" } } },
    refused: named({ prompt: { id: "p" } }),
  },
  "POST /infill": {
    body: { input_prefix: "a", input_suffix: "b" },
    ignored: named({ samplers: ["top_k"], t_max_predict_ms: 500 }),
  },
};
