// The keys of an architecture in a GGUF, in the order in which they are added: the same order as llama.cpp's converter has.

import type { GgufEntry } from "../../formats/gguf/write-header.ts";
import type { RopePlan } from "../rope-scaling.ts";

export class KeyList {
  readonly entries = new Map<string, GgufEntry>();
  readonly #architecture: string;

  constructor(architecture: string) {
    this.#architecture = architecture;
  }

  u32(key: string, value: number): void {
    this.#set(key, { type: "u32", value });
  }

  f32(key: string, value: number): void {
    this.#set(key, { type: "f32", value });
  }

  text(key: string, value: string): void {
    this.#set(key, { type: "string", value });
  }

  truth(key: string, value: boolean): void {
    this.#set(key, { type: "bool", value });
  }

  rope({ entries }: RopePlan): void {
    for (const [key, entry] of entries) this.#set(`rope.${key}`, entry);
  }

  /** llama.cpp's number of what most tensors are. */
  fileType(value: number): void {
    this.entries.set("general.file_type", { type: "u32", value });
  }

  #set(key: string, entry: GgufEntry): void {
    this.entries.set(`${this.#architecture}.${key}`, entry);
  }
}
