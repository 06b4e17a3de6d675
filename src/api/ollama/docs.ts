// How a route of Ollama's is documented: its tag, its error envelope, its lines of JSON.

import { describeRoute, type ErrorFormat, type RouteDocs } from "../route-docs.ts";
import { encodeOllamaError } from "./errors.ts";

const ERROR_FORMAT: ErrorFormat = { schema: "OllamaErrorReply", encode: encodeOllamaError };

export function describeOllamaRoute(docs: Omit<RouteDocs, "tag" | "errorFormat">) {
  const { reply } = docs;
  const streamed = reply.streamSchema === undefined ? {} : { streamType: "application/x-ndjson" };
  return describeRoute({ ...docs, reply: { ...reply, ...streamed }, tag: "Ollama", errorFormat: ERROR_FORMAT });
}
