// How Anthropic's routes document their errors: one place, since each of them has the same envelope.

import type { ErrorFormat } from "../route-docs.ts";
import { encodeErrorReply } from "./errors.ts";

export const ERROR_FORMAT: ErrorFormat = {
  schema: "AnthropicErrorReply",
  encode: (body) => encodeErrorReply(body, "req-0123456789abcdef0123456789abcdef"),
};
