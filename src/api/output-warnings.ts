// Reads an answer along and tells, once it has ended, where it breaks the request's schemas: in the body's
// `mlo.warnings`. The header names what was relaxed, since it goes out before. Knows no dialect: its names of places come
// with the contract.

import { type Static, Type } from "@sinclair/typebox";
import type { GenerationEvent } from "../protocol/generation.ts";
import { CHECK_WORK_MAX, checkValue } from "../protocol/schema/check.ts";
import type { OutputContract, Relaxed } from "./structured-output.ts";

export const RELAXED_HEADER = "X-MLO-Relaxed";

export const RELAXED_HEADER_DOCS = {
  [RELAXED_HEADER]:
    "Constraints of the request's schemas that the grammar does not keep, by tool (or the field of the answer's schema, as `response_format`) and JSON pointer: " +
    "`get_weather#/properties/days (multipleOf), 2 more`. The answer is checked against them; `mlo.warnings` says more. " +
    "Absent: none.",
};

/** Proxies commonly allow 4 to 8 KiB of headers in all. */
const HEADER_CHARS_MAX = 600;
/** Of one answer. A schema that is wrong all over says so a thousand times. */
const WARNINGS_MAX = 50;
const TEXT_CHARS_MAX = 300;
/** Characters of one text that are kept for the check: a stream is else kept nowhere. */
const KEPT_CHARS_MAX = 8 * 1024 * 1024;

export const OutputWarning = Type.Object(
  {
    code: Type.Union(
      [Type.Literal("schema_relaxed"), Type.Literal("schema_mismatch"), Type.Literal("schema_unchecked")],
      {
        description:
          "`schema_relaxed`: the grammar does not keep a constraint. `schema_mismatch`: the answer breaks its schema. " +
          "`schema_unchecked`: whether it does could not be told.",
      },
    ),
    tool: Type.Optional(Type.String({ description: "The tool whose schema it is. Absent: the answer's own." })),
    path: Type.String({ description: "The field of the request or of the answer, then a JSON pointer into it." }),
    message: Type.String(),
  },
  { description: "What a schema of the request asks for and the answer may not keep, or does not." },
);
export type OutputWarning = Static<typeof OutputWarning>;

/** `tool#/path (keyword), …`, ASCII. Null: nothing was relaxed. */
export function formatRelaxedHeader({ places, relaxed }: OutputContract): string | null {
  const items: string[] = [];
  let chars = 0;
  for (const { tool, path, keyword } of relaxed) {
    const item = `${encodeText(tool ?? places.format)}${encodeText(path)} (${encodeText(keyword)})`;
    chars += item.length + 2;
    if (chars > HEADER_CHARS_MAX) break;
    items.push(item);
  }
  const rest = relaxed.length - items.length;
  if (rest > 0) items.push(`${rest} more`);
  return items.length === 0 ? null : items.join(", ");
}

/** All but what a JSON pointer and a name commonly consist of is percent-encoded. */
function encodeText(text: string): string {
  return text.toWellFormed().replace(/[^A-Za-z0-9_$.#/~-]/gu, (character) => encodeURIComponent(character));
}

interface Draft {
  text: string;
  calls: { name: string; arguments: string }[];
  finished: boolean;
}

export class OutputWatch {
  readonly #contract: OutputContract;
  readonly #drafts = new Map<number, Draft>();
  readonly #warnings: OutputWarning[] = [];
  readonly #work = { left: CHECK_WORK_MAX };
  #count = 0;

  constructor(contract: OutputContract) {
    this.#contract = contract;
  }

  note(choice: number, event: GenerationEvent): void {
    let draft = this.#drafts.get(choice);
    if (draft === undefined) {
      draft = { text: "", calls: [], finished: false };
      this.#drafts.set(choice, draft);
    }
    // What was cut off says so by its finish reason.
    if (event.type === "done") draft.finished = event.finishReason !== "length";
    if (event.type !== "delta") return;
    if (this.#contract.answer !== undefined) draft.text = append(draft.text, event.text);
    for (const { index, name, arguments: text } of event.toolCalls ?? []) {
      draft.calls[index] ??= { name: "", arguments: "" };
      const call = draft.calls[index];
      call.name += name ?? "";
      call.arguments = append(call.arguments, text);
    }
  }

  /** Of all choices, once they have ended. */
  list(): readonly OutputWarning[] {
    for (const relaxed of this.#contract.relaxed) this.#add(describeRelaxed(relaxed));
    for (const [choice, draft] of [...this.#drafts].sort(([a], [b]) => a - b)) {
      if (draft.finished) this.#checkDraft(choice, draft);
    }
    if (this.#count > WARNINGS_MAX) {
      const message = `${this.#count - WARNINGS_MAX} more warnings are left out`;
      this.#warnings.push({ code: "schema_unchecked", path: "", message });
    }
    return this.#warnings;
  }

  #checkDraft(choice: number, { text, calls }: Draft): void {
    const { answer, tools, places, begun } = this.#contract;
    if (answer !== undefined && (calls.length === 0 || text !== "")) {
      // A beginning such as a code fence is no part of the JSON behind it.
      const whole = begun === "" || parse(begun + text) === null ? text : begun + text;
      this.#check(places.nameText(choice), whole, answer, null);
    }
    for (const [index, call] of calls.entries()) {
      if (call === undefined || !tools.has(call.name)) continue;
      this.#check(places.nameArguments(choice, index, call.name), call.arguments, tools.get(call.name), call.name);
    }
  }

  #check(path: string, text: string, schema: unknown, tool: string | null): void {
    const found = this.#judge(text, schema);
    if (found === null) return;
    const at = shorten(path + found.path);
    this.#add({ code: found.code, ...(tool === null ? {} : { tool }), path: at, message: shorten(found.message) });
  }

  #judge(text: string, schema: unknown): Omit<OutputWarning, "tool"> | null {
    if (text.length >= KEPT_CHARS_MAX) {
      return { code: "schema_unchecked", path: "", message: "it is too long to be checked" };
    }
    const parsed = parse(text);
    if (parsed === null) return { code: "schema_mismatch", path: "", message: "is no JSON" };
    const verdict = checkValue(schema, parsed.value, this.#work);
    if (verdict.kind === "unknown") return { code: "schema_unchecked", path: "", message: verdict.reason };
    return verdict.kind === "invalid" ? { code: "schema_mismatch", ...verdict.fault } : null;
  }

  #add(warning: OutputWarning): void {
    if (this.#count++ < WARNINGS_MAX) this.#warnings.push(warning);
  }
}

function describeRelaxed({ tool, param, path, keyword, reason }: Relaxed): OutputWarning {
  const about = tool === null ? {} : { tool };
  const message = shorten(`\`${keyword}\` is not kept by the grammar: ${reason}`);
  return { code: "schema_relaxed", ...about, path: shorten(param + path), message };
}

function parse(text: string): { value: unknown } | null {
  try {
    return { value: JSON.parse(text) };
  } catch {
    // No JSON, or nested more deeply than the parser goes.
    return null;
  }
}

function append(text: string, piece: string | undefined): string {
  return piece === undefined || text.length >= KEPT_CHARS_MAX ? text : text + piece;
}

function shorten(text: string): string {
  return text.length <= TEXT_CHARS_MAX ? text : `${text.slice(0, TEXT_CHARS_MAX).toWellFormed()}…`;
}
