// Anthropic's messages and their content blocks → the domain's chat messages. Pure; what can't be read is refused with
// the path of the block. Tool results are messages of their own there, and neighbours of one role are one message.

import type { ChatMessage } from "../../protocol/generation.ts";
import { invalidField, refuse } from "../openai/limits.ts";
import type { Block, DataBlock, MessageBody, TextBlock } from "./schema.ts";

type Part = { type: string; text: string };

/** A message while blocks are added to it. */
interface Draft extends Omit<ChatMessage, "content"> {
  parts: Part[];
}

/**
 * Claude Code begins its system text with a line for its accounting, which differs in each request: no prompt would have
 * a beginning in common with the one before.
 */
const BILLING_LINE = /^x-anthropic-billing-header:[^\n]*\n?/;

export function readConversation(
  system: string | TextBlock[] | undefined,
  bodies: readonly MessageBody[],
): ChatMessage[] {
  const drafts: Draft[] = [];
  addSystem(drafts, system ?? []);
  /** What each call's tool is called: templates ask for it beside a result. */
  const toolNames = new Map<string, string>();
  for (const [index, body] of bodies.entries()) {
    const at = `messages[${index}].content`;
    const blocks = typeof body.content === "string" ? [{ type: "text", text: body.content }] : body.content;
    if (body.role === "assistant") addAssistant(drafts, blocks, at, toolNames);
    else if (body.role === "system") addTexts(openDraft(drafts, "system"), readTexts(blocks, at));
    else addUser(drafts, blocks, at, toolNames);
  }
  return drafts.map(finish);
}

function addSystem(drafts: Draft[], system: string | TextBlock[]): void {
  const texts = readTexts(system, "system").map(({ text }, i) => (i === 0 ? text.replace(BILLING_LINE, "") : text));
  const parts = texts.filter((text) => text !== "").map(toPart);
  if (parts.length > 0) addTexts(openDraft(drafts, "system"), parts);
}

/** One by one: a call can't have as many arguments as a body can have blocks. */
function addTexts(draft: Draft, parts: readonly Part[]): void {
  for (const part of parts) draft.parts.push(part);
}

function addUser(drafts: Draft[], blocks: readonly Block[], at: string, toolNames: Map<string, string>): void {
  // A message without a block is still a turn.
  if (blocks.length === 0) openDraft(drafts, "user");
  for (const [index, block] of blocks.entries()) {
    const here = `${at}[${index}]`;
    if (block.type === "tool_result") drafts.push(readToolResult(block, here, toolNames));
    else openDraft(drafts, "user").parts.push(toPart(readData(block, here)));
  }
}

function addAssistant(drafts: Draft[], blocks: readonly Block[], at: string, toolNames: Map<string, string>): void {
  const draft = openDraft(drafts, "assistant");
  for (const [index, block] of blocks.entries()) {
    const here = `${at}[${index}]`;
    switch (block.type) {
      case "text":
        draft.parts.push(toPart(need(block.text, `${here}.text`, "a string")));
        break;
      case "thinking":
        // One that was sent without its text has nothing that a template could show.
        if (block.thinking) draft.reasoning_content = (draft.reasoning_content ?? "") + block.thinking;
        break;
      case "redacted_thinking":
        break;
      case "tool_use": {
        const id = need(block.id, `${here}.id`, "a string");
        const name = need(block.name, `${here}.name`, "a string");
        const input = JSON.stringify(need(block.input, `${here}.input`, "an object"));
        toolNames.set(id, name);
        draft.tool_calls ??= [];
        draft.tool_calls.push({ id, type: "function", function: { name, arguments: input } });
        break;
      }
      default:
        refuseBlock(block.type, here);
    }
  }
}

/** The last message, if it is of this role: templates want roles to alternate. Else a new one. */
function openDraft(drafts: Draft[], role: "system" | "user" | "assistant"): Draft {
  const last = drafts.at(-1);
  if (last?.role === role) return last;
  const draft: Draft = { role, parts: [] };
  drafts.push(draft);
  return draft;
}

function readToolResult(block: Block, at: string, toolNames: Map<string, string>): Draft {
  const id = need(block.tool_use_id, `${at}.tool_use_id`, "a string");
  const content = block.content ?? [];
  const texts =
    typeof content === "string" ? [content] : content.map((inner, i) => readResult(inner, `${at}.content[${i}]`));
  // Templates have no place for it, and the model should see it.
  const prefix = block.is_error === true ? "Error: " : "";
  const draft: Draft = { role: "tool", tool_call_id: id, parts: [toPart(prefix + texts.join("\n"))] };
  const name = toolNames.get(id);
  return name === undefined ? draft : { ...draft, name };
}

function readResult(block: DataBlock, at: string): string {
  if (block.type !== "tool_reference") return readData(block, at);
  // Its definition is among the tools from now on (tools.ts).
  return `The tool ${need(block.tool_name, `${at}.tool_name`, "a string")} can be called now.`;
}

/** The text of a block of data, with what it says of itself. */
function readData(block: Block | DataBlock, at: string): string {
  switch (block.type) {
    case "text":
      return need(block.text, `${at}.text`, "a string");
    case "document":
      return wrap("document", { title: block.title, context: block.context }, readDocument(block, at));
    case "search_result": {
      const content = need(block.content, `${at}.content`, "an array of text blocks");
      const source = typeof block.source === "string" ? block.source : undefined;
      return wrap("search_result", { title: block.title, source }, joinTexts(content, `${at}.content`));
    }
    default:
      return refuseBlock(block.type, at);
  }
}

function readDocument({ source }: Block | DataBlock, at: string): string {
  if (typeof source !== "object") throw invalidField(`${at}.source`, "is required: an object");
  if (source.type === "text") return need(source.data, `${at}.source.data`, "a string");
  if (source.type !== "content") {
    return refuse(`${at}.source.type`, `${JSON.stringify(source.type)} can't be read, only "text" and "content"`);
  }
  return joinTexts(need(source.content, `${at}.source.content`, "a string or text blocks"), `${at}.source.content`);
}

function joinTexts(content: string | readonly Block[] | readonly DataBlock[], at: string): string {
  return readTexts(content, at)
    .map(({ text }) => text)
    .join("\n");
}

function readTexts(content: string | readonly TextBlock[], at: string): Part[] {
  if (typeof content === "string") return [toPart(content)];
  return content.map((block, index) => {
    if (block.type !== "text") return refuseBlock(block.type, `${at}[${index}]`);
    return toPart(need(block.text, `${at}[${index}].text`, "a string"));
  });
}

/** `<document title="…">`, the way in which models are used to see where a text begins and ends. */
function wrap(tag: string, attributes: Record<string, string | undefined>, text: string): string {
  const said = Object.entries(attributes).flatMap(([name, value]) =>
    value === undefined ? [] : ` ${name}=${JSON.stringify(value)}`,
  );
  return `<${tag}${said.join("")}>\n${text}\n</${tag}>`;
}

function toPart(text: string): Part {
  return { type: "text", text };
}

function finish({ parts, ...message }: Draft): ChatMessage {
  const [first] = parts;
  if (first === undefined) return { ...message, content: message.tool_calls === undefined ? "" : null };
  return { ...message, content: parts.length === 1 ? first.text : parts };
}

function need<T>(value: T | undefined, param: string, what: string): T {
  if (value === undefined) throw invalidField(param, `is required: ${what}`);
  return value;
}

function refuseBlock(type: string, at: string): never {
  const why = type === "image" ? "the model has no vision" : `${JSON.stringify(type)} blocks can't be read here`;
  return refuse(`${at}.type`, why);
}
