// Parameters of tools, after those of coding agents and of MCP servers: files, shells, searches, browsers, databases,
// issues, calendars. Written here; the shapes count, not the words.

const text = { type: "string" };
const list = { type: "array", items: text };
const flag = { type: "boolean" };
const count = { type: "integer" };
const closed = (properties: object, required: string[] = Object.keys(properties)) => ({
  type: "object",
  properties,
  required,
  additionalProperties: false,
});
const open = (properties: object, required: string[] = []) => ({ type: "object", properties, required });
const draft = (schema: object) => ({ $schema: "http://json-schema.org/draft-07/schema#", ...schema });
const maybe = (schema: object) => ({ anyOf: [schema, { type: "null" }], default: null });
const line = { anyOf: [{ type: "integer", exclusiveMinimum: 0, maximum: 9007199254740991 }, { type: "null" }] };

export const TOOL_SCHEMAS: Record<string, unknown> = {
  "editor: replace or insert": closed(
    { path: { type: "string", minLength: 1 }, old_text: maybe(text), new_text: text, insert_line: line },
    ["path", "new_text"],
  ),
  "files: read with lines": closed({
    files: { type: "array", items: closed({ path: text, start_line: line, end_line: line }, ["path"]) },
  }),
  "files: write": open({ file_path: text, content: text }, ["file_path", "content"]),
  "files: several edits": closed({
    file_path: text,
    edits: {
      type: "array",
      minItems: 1,
      items: closed({ old_string: text, new_string: text, replace_all: { ...flag, default: false } }, [
        "old_string",
        "new_string",
      ]),
    },
  }),
  "files: tree": draft(closed({ path: text, depth: { type: "number", minimum: 1, maximum: 10 } }, ["path"])),
  "files: move": open({ source: text, destination: text, overwrite: flag }, ["source", "destination"]),
  "files: search": draft(
    open({ path: text, pattern: text, excludePatterns: { ...list, default: [] } }, ["path", "pattern"]),
  ),
  "grep: many switches": open(
    {
      pattern: text,
      glob: text,
      output_mode: { type: "string", enum: ["content", "files_with_matches", "count"] },
      "-A": { type: "number" },
      "-i": flag,
      head_limit: { type: "number" },
      multiline: flag,
    },
    ["pattern"],
  ),
  "shell: one command": closed({ command: text, timeout: { type: "number", maximum: 600_000 }, background: flag }, [
    "command",
  ]),
  "shell: commands": closed({ commands: { ...list, description: "Complete commands." } }),
  "shell: words": open({ command: { ...list, minItems: 1 }, workdir: text, timeout_ms: count }, ["command"]),
  "shell: process or text": { anyOf: [closed({ command: text }), closed({ commands: list }), list, text] },
  "patch: one text": closed({ input: { type: "string", description: "The whole patch." } }),
  "plan: steps": closed(
    {
      explanation: text,
      plan: {
        type: "array",
        items: closed({ step: text, status: { type: "string", enum: ["pending", "in_progress", "completed"] } }),
      },
    },
    ["plan"],
  ),
  "todo list": open(
    {
      todos: {
        type: "array",
        items: open(
          {
            id: text,
            content: { type: "string", minLength: 1 },
            status: { enum: ["pending", "in_progress", "completed"] },
            priority: { type: "string", enum: ["high", "medium", "low"] },
          },
          ["content", "status", "priority", "id"],
        ),
      },
    },
    ["todos"],
  ),
  "agent: spawn": open({ description: text, prompt: text, subagent_type: text }, ["description", "prompt"]),
  "agent: message": closed({ to: text, message: { type: "string", maxLength: 2000 }, urgent: maybe(flag) }, [
    "to",
    "message",
  ]),
  "ask: options": closed({
    question: { type: "string", minLength: 1 },
    options: { type: "array", items: { type: "string", minLength: 1 }, minItems: 2, maxItems: 5 },
  }),
  "ask: questions": closed({
    questions: {
      type: "array",
      minItems: 1,
      maxItems: 4,
      items: closed({
        header: { type: "string", maxLength: 12 },
        options: { type: "array", minItems: 2, maxItems: 4, items: closed({ label: text, description: text }) },
        multiSelect: { ...flag, default: false },
      }),
    },
  }),
  "web: fetch": closed({ url: { type: "string", format: "uri" }, prompt: text }),
  "web: search": open(
    { query: { type: "string", minLength: 2 }, allowed_domains: list, blocked_domains: list, limit: count },
    ["query"],
  ),
  "web: fetch several": closed({
    requests: { type: "array", items: closed({ url: { type: "string", format: "uri" }, prompt: text }) },
  }),
  "browser: navigate": draft(open({ url: text }, ["url"])),
  "browser: click": draft(closed({ element: text, ref: text, doubleClick: flag }, ["element", "ref"])),
  "browser: fill form": draft(
    closed({
      fields: {
        type: "array",
        items: closed({ name: text, type: { type: "string", enum: ["textbox", "checkbox", "radio"] }, value: text }),
      },
    }),
  ),
  "browser: nothing": draft({ type: "object", properties: {}, additionalProperties: false }),
  "browser: point": closed({ coordinate: { type: "array", items: { type: "integer" }, minItems: 2, maxItems: 2 } }),
  "browser: wait": { type: "object", properties: { time: { type: "number" }, text, textGone: text } },
  "database: query": closed({ sql: text, params: { type: "array", items: { type: ["string", "number", "null"] } } }, [
    "sql",
  ]),
  "database: insert": closed({ table: text, row: { type: "object", additionalProperties: true } }),
  "database: filter": open({ filter: { type: "object" }, projection: { type: "object" }, limit: count, sort: {} }, []),
  "git: commit": draft(open({ repo_path: text, message: text }, ["repo_path", "message"])),
  "git: log": {
    title: "GitLog",
    type: "object",
    properties: { max_count: { default: 10, title: "Max Count", ...count } },
  },
  "issue: create": draft(
    closed({ owner: text, repo: text, title: text, body: text, labels: list, assignees: list, milestone: count }, [
      "owner",
      "repo",
      "title",
    ]),
  ),
  "issue: list": draft(
    closed(
      {
        owner: text,
        state: { type: "string", enum: ["open", "closed", "all"] },
        since: { type: "string", format: "date-time" },
        per_page: { type: "number", minimum: 1, maximum: 100 },
      },
      ["owner"],
    ),
  ),
  "pull request: review": draft(
    open(
      {
        event: { enum: ["APPROVE", "REQUEST_CHANGES", "COMMENT"], type: "string" },
        comments: {
          type: "array",
          items: {
            anyOf: [
              closed({ path: text, position: { type: "number" }, body: text }),
              closed({ path: text, line: { type: "number" }, body: text }),
            ],
          },
        },
      },
      ["event"],
    ),
  ),
  "calendar: event": closed(
    {
      title: text,
      start: { type: "string", format: "date-time" },
      end: { type: "string", format: "date-time" },
      all_day: flag,
      attendees: { type: "array", items: { type: "string", format: "email" }, maxItems: 20 },
      recurrence: { type: "string", pattern: "^RRULE:" },
    },
    ["title", "start"],
  ),
  "mail: send": closed({ to: { type: "array", items: { type: "string", format: "email" }, minItems: 1 }, body: text }),
  "weather: with unit": closed({ location: text, unit: { type: ["string", "null"], enum: ["c", "f", null] } }),
  "memory: entities": draft(
    open(
      {
        entities: {
          type: "array",
          items: open({ name: text, entityType: text, observations: list }, ["name", "entityType", "observations"]),
        },
      },
      ["entities"],
    ),
  ),
  "memory: relations": draft(
    open({ relations: { type: "array", items: open({ from: text, to: text, relationType: text }, ["from", "to"]) } }),
  ),
  "thinking: one step": draft(
    open(
      {
        thought: text,
        nextThoughtNeeded: flag,
        thoughtNumber: { ...count, minimum: 1 },
        totalThoughts: { ...count, minimum: 1 },
      },
      ["thought", "nextThoughtNeeded", "thoughtNumber", "totalThoughts"],
    ),
  ),
  "notebook: edit": open(
    { notebook_path: text, cell_id: text, new_source: text, cell_type: { enum: ["code", "markdown"], type: "string" } },
    ["notebook_path", "new_source"],
  ),
  "image: make": open(
    { prompt: text, size: { enum: ["256x256", "512x512"] }, n: { ...count, minimum: 1, maximum: 4 } },
    ["prompt"],
  ),
  "chat: post": draft(
    open({ channel_id: text, text, thread_ts: { ...text, pattern: "^\\d+\\.\\d+$" } }, ["channel_id", "text"]),
  ),
  "pages: rich text": open({
    parent: { type: "object", properties: { page_id: { type: "string", format: "uuid" } }, required: ["page_id"] },
    children: {
      type: "array",
      maxItems: 100,
      items: {
        oneOf: [
          open({ type: { const: "paragraph" }, text }, ["type"]),
          open({ type: { const: "todo" }, checked: flag }, ["type"]),
        ],
      },
    },
  }),
  "code: run": closed({ language: { const: "python" }, code: text, packages: maybe(list) }, ["language", "code"]),
  "tool of tools": open({ server: text, name: text, arguments: { type: "object", additionalProperties: {} } }, [
    "name",
  ]),
  "resource: read": open({ uri: { type: "string", format: "uri" } }, ["uri"]),
  "finish: verified": closed({
    summary: { type: "string", minLength: 1 },
    verified: flag,
    score: { type: "number", minimum: 0, maximum: 1 },
  }),
  "time: convert": draft(
    open({ source_timezone: text, time: { ...text, pattern: "^([01]\\d|2[0-3]):[0-5]\\d$" }, target_timezone: text }, [
      "time",
    ]),
  ),
  "math: operation": closed({ op: { enum: ["+", "-", "*", "/"] }, a: { type: "number" }, b: { type: "number" } }),
  "maps: route": closed({
    from: { type: "array", items: { type: "number", minimum: -180, maximum: 180 }, minItems: 2, maxItems: 2 },
    mode: { type: "string", enum: ["driving", "walking"], default: "driving" },
  }),
};
