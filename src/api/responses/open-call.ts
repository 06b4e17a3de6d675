// A call in a response's output as it grows: of a function with its arguments, of a custom tool with its input, which is
// read out of the arguments that the model writes. Pure but for new ids.

import { CustomInput } from "../custom-input.ts";
import { createId } from "../request-id.ts";
import { ID_PREFIXES } from "./items.ts";
import type { Emit, OutputOptions } from "./output-items.ts";
import type { CustomCallItem, FunctionCallItem } from "./reply-schema.ts";

type Names = Pick<OutputOptions, "toolNames" | "customTools">;
type Call =
  | { kind: "function"; item: FunctionCallItem; names: Names }
  | { kind: "custom"; item: CustomCallItem; names: Names; reader: CustomInput };

/** `known` is the tool's name as the model knows it; by it the two kinds are told apart. */
export function createCall(known: string, call_id: string, names: Names): Call {
  const named = { call_id, ...findName(known, names), status: "in_progress" as const };
  if (!names.customTools.has(known)) {
    const id = createId(ID_PREFIXES.function_call);
    return { kind: "function", item: { type: "function_call", id, ...named, arguments: "" }, names };
  }
  const item: CustomCallItem = {
    type: "custom_tool_call",
    id: createId(ID_PREFIXES.custom_tool_call),
    ...named,
    input: "",
  };
  return { kind: "custom", item, names, reader: new CustomInput() };
}

export class OpenCall {
  readonly index: number;
  readonly #call: Call;
  readonly #emit: Emit;

  constructor(call: Call, index: number, emit: Emit) {
    this.#call = call;
    this.index = index;
    this.#emit = emit;
  }

  get item(): FunctionCallItem | CustomCallItem {
    return this.#call.item;
  }

  /** Of what its schema is about, as a path into the reply. */
  get place(): string {
    return `output[${this.index}]${this.#call.kind === "function" ? ".arguments" : ""}`;
  }

  /** Its name goes on. */
  rename(more: string): void {
    const { item, names } = this.#call;
    Object.assign(item, findName(item.name + more, names));
  }

  add(text: string): void {
    if (text === "") return;
    const call = this.#call;
    if (call.kind === "custom") this.#addInput(call.item, call.reader.add(text));
    else {
      call.item.arguments += text;
      this.#emit({ type: "response.function_call_arguments.delta", ...this.#at, delta: text });
    }
  }

  /** Nothing comes any more. */
  finish(): void {
    const call = this.#call;
    if (call.kind === "custom") {
      this.#addInput(call.item, call.reader.finish());
      this.#emit({ type: "response.custom_tool_call_input.done", ...this.#at, input: call.item.input });
    } else {
      const { name, arguments: text } = call.item;
      this.#emit({ type: "response.function_call_arguments.done", ...this.#at, name, arguments: text });
    }
  }

  #addInput(item: CustomCallItem, text: string): void {
    if (text === "") return;
    item.input += text;
    this.#emit({ type: "response.custom_tool_call_input.delta", ...this.#at, delta: text });
  }

  get #at(): { item_id: string; output_index: number } {
    return { item_id: this.item.id, output_index: this.index };
  }
}

function findName(known: string, { toolNames }: Names): { name: string; namespace?: string } {
  return toolNames.get(known) ?? { name: known };
}
