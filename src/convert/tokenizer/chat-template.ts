// The chat template of a folder: in tokenizer_config.json, in chat_template.jinja or in chat_template.json; one text or
// several with names. Copied, never run.

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { GgufEntry } from "../../formats/gguf/write-header.ts";
import { isRecord } from "../../lib/is-record.ts";
import { orUnreadable, readJsonFile, readTextFile } from "../json-file.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";

interface NamedTemplate {
  name: string;
  template: string;
}

const ADDITIONAL_FOLDER = "additional_chat_templates";
/** Models have two or three: default, tool_use, rag. */
const TEMPLATES_MAX = 64;

export function planChatTemplate({ folder, settings }: TokenizerFiles): [string, GgufEntry][] {
  // Without it there is no tokenizer that a chat could be written for.
  if (settings === null) return [];
  const stated = settings.value("chat_template");
  const templates = stated === null ? readTemplateFiles(folder) : toTemplates(stated);
  const entries: [string, GgufEntry][] = [];
  const named = templates.filter(({ name }) => name !== "default");
  for (const { name, template } of named) {
    entries.push([`tokenizer.chat_template.${name}`, { type: "string", value: template }]);
  }
  if (named.length > 0) {
    const values = named.map(({ name }) => name);
    entries.push(["tokenizer.chat_templates", { type: "array", of: "string", values }]);
  }
  const standard = templates.find(({ name }) => name === "default");
  if (standard !== undefined) entries.push(["tokenizer.chat_template", { type: "string", value: standard.template }]);
  return entries;
}

function toTemplates(value: unknown): NamedTemplate[] {
  if (typeof value === "string") return value === "" ? [] : [{ name: "default", template: value }];
  if (!Array.isArray(value)) return [];
  const templates = new Map<string, string>();
  for (const item of value.filter(isRecord).slice(0, TEMPLATES_MAX)) {
    // A name becomes a part of a key.
    const name = typeof item.name === "string" ? item.name.replaceAll(/[^A-Za-z0-9]/g, "_") : "";
    if (name !== "" && typeof item.template === "string") templates.set(name, item.template);
  }
  return [...templates].map(([name, template]) => ({ name, template }));
}

function readTemplateFiles(folder: string): NamedTemplate[] {
  const text = readTextFile(folder, "chat_template.jinja");
  if (text === null) {
    return toTemplates(readJsonFile(folder, "chat_template.json")?.value("chat_template") ?? "");
  }
  const others = listAdditional(folder).map((file) => ({
    name: file.slice(0, -".jinja".length),
    template: readTextFile(folder, join(ADDITIONAL_FOLDER, file)),
  }));
  return toTemplates([{ name: "default", template: text }, ...others]);
}

function listAdditional(folder: string): string[] {
  const path = join(folder, ADDITIONAL_FOLDER);
  // Most models have no such folder.
  if (!existsSync(path)) return [];
  const names = orUnreadable(path, () => readdirSync(path));
  return names.filter((name) => name.endsWith(".jinja")).sort();
}
