// Our server with a model whose template thinks, as Qwen3's does: what it says is left to the grammar of each request.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cacheModel } from "./gguf-builder.ts";
import { QWEN3_SPEC } from "./model-specs.ts";
import { type Server, startServer } from "./server.ts";
import { locateLlamaSource } from "./tokenizers.ts";

const TEMPLATE = "models/templates/Qwen-Qwen3-0.6B.jinja";

export async function startThinkingServer(): Promise<Server> {
  const chatTemplate = readFileSync(join(locateLlamaSource(), TEMPLATE), "utf8");
  const model = cacheModel({ ...QWEN3_SPEC, chatTemplate });
  return await startServer({ args: ["--model", model, "--ctx", "1024", "--threads", "1"] });
}
