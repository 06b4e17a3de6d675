// A checked request and what it continues → what is asked of the engine, and what the reply will repeat of the request.

import type { ChatPrompt, GenerationRequest } from "../../protocol/generation.ts";
import { readLora } from "../lora-fields.ts";
import { isSessionName, readMloFields, readTruncate } from "../mlo-fields.ts";
import { invalidField } from "../openai/limits.ts";
import { readSampling } from "../openai/sampling.ts";
import { createId } from "../request-id.ts";
import { type AnswerSchema, constrainPrompt, type OutputContract, type OutputPlaces } from "../structured-output.ts";
import type { Context } from "./context.ts";
import { toMessages } from "./item-messages.ts";
import type { ResponseReply } from "./reply-schema.ts";
import type { InputTokensRequest, ResponseRequest } from "./schema.ts";
import type { InnerNames } from "./tool-names.ts";
import { addTools, type ToolPlan } from "./tools.ts";

export interface ResponsePlan {
  generation: GenerationRequest;
  /** The reply before anything has come of it. */
  reply: ResponseReply;
  context: Context;
  session: string | null;
  truncates: boolean;
  /** Reasoning goes out as a summary. */
  summarises: boolean;
  sealsReasoning: boolean;
  /** What the answer is checked against; null: nothing. */
  contract: OutputContract | null;
  /** Neither streamed nor in the background. */
  inOnePiece: boolean;
  toolNames: InnerNames;
  customTools: ReadonlySet<string>;
}

/** Of what is known beforehand; the answer's own places are those of its items. */
const PLACES: OutputPlaces = {
  format: "text.format",
  nameText: () => "output",
  nameArguments: () => "output",
};

export interface PlanFacts {
  contextLength: number;
  model: string;
  headers: Headers;
  wallMs: number;
}

export function planResponse(body: ResponseRequest, context: Context, facts: PlanFacts): ResponsePlan {
  const { prompt, toolPlan, contract } = buildPrompt(body, context);
  const id = createId("resp_");
  const mlo = readMloFields(facts.headers, body);
  const keepsNothing = mlo.cache?.keep === false && body.background !== true && body.conversation === undefined;
  const stores = body.store ?? !keepsNothing;
  const truncates = readTruncate(facts.headers, body) ?? body.truncation === "auto";
  const session = mlo.session ?? context.session ?? chooseSession(body, stores ? id : null);
  const logprobs = readLogprobs(body);
  const inOnePiece = body.stream !== true && body.background !== true;
  const generation: GenerationRequest = {
    prompt,
    sampling: readSampling(body, facts.contextLength),
    stop: [],
    ...(logprobs === undefined ? {} : { logprobs }),
    // Told piece by piece, which are of the text and which of thoughts can be known.
    ...(inOnePiece && logprobs === undefined ? { whole: true } : {}),
    ...(body.max_output_tokens === undefined ? {} : { maxTokens: body.max_output_tokens }),
    ...mlo,
    ...(session === null ? {} : { session }),
    ...readLora(body),
  };
  return {
    generation,
    reply: makeReply(id, body, context, toolPlan, { ...facts, stores, truncates }),
    context,
    session,
    truncates,
    summarises: readSummary(body) !== undefined,
    sealsReasoning: body.include?.includes("reasoning.encrypted_content") ?? false,
    contract,
    inOnePiece,
    toolNames: toolPlan.names,
    customTools: toolPlan.customTools,
  };
}

/** What a prompt would be, for those who only count its tokens. */
export function buildPrompt(
  body: InputTokensRequest,
  context: Pick<Context, "history" | "input">,
): { prompt: ChatPrompt; toolPlan: ToolPlan; contract: OutputContract | null } {
  const messages = toMessages(body.instructions, [...context.history, ...context.input]);
  const prompt: ChatPrompt = { kind: "chat", messages };
  const toolPlan = addTools(prompt, body);
  const contract = constrainPrompt(prompt, toolPlan.callable, readFormat(body), PLACES);
  const templateArgs = { ...readEffort(body), ...body.chat_template_kwargs };
  if (Object.keys(templateArgs).length > 0) prompt.templateArgs = templateArgs;
  return { prompt, toolPlan, contract };
}

/** What no context can make good: checked before anything is looked up. */
export function refuseUnsupported(body: ResponseRequest): void {
  if (body.grammar !== undefined && readFormat(body) !== null) {
    throw invalidField("grammar", "and a JSON `text.format` exclude each other");
  }
  if (body.background === true && body.store === false) throw invalidField("background", "needs `store`");
  if (body.conversation !== undefined && body.store === false) throw invalidField("conversation", "needs `store`");
}

function readFormat({ text }: InputTokensRequest): AnswerSchema | null {
  const format = text?.format;
  if (format === undefined || format.type === "text") return null;
  if (format.type === "json_object") return { schema: { type: "object" }, param: "text.format", isStrict: false };
  const param = "text.format.schema";
  if (format.schema === undefined) throw invalidField(param, "is required: a JSON schema");
  return { schema: format.schema, param, isStrict: format.strict === true };
}

/** How many likely tokens come with each one's log probability; undefined: none of it is wanted. */
function readLogprobs({ include, top_logprobs: top = 0 }: ResponseRequest): number | undefined {
  return top > 0 || include?.includes("message.output_text.logprobs") === true ? top : undefined;
}

/** As the variables that templates commonly read. */
function readEffort({ reasoning }: InputTokensRequest): Record<string, unknown> {
  const effort = reasoning?.effort;
  if (effort === undefined) return {};
  return effort === "none" ? { enable_thinking: false } : { reasoning_effort: effort };
}

function readSummary({ reasoning }: ResponseRequest): string | undefined {
  return reasoning?.summary ?? reasoning?.generate_summary;
}

/** A stored response may be continued, and then by its own name. */
function chooseSession({ prompt_cache_key: key }: ResponseRequest, id: string | null): string | null {
  return key !== undefined && isSessionName(key) ? key : id;
}

function makeReply(
  id: string,
  body: ResponseRequest,
  { previousId, conversationId }: Context,
  { tools, toolChoice, warnings }: ToolPlan,
  facts: PlanFacts & { stores: boolean; truncates: boolean },
): ResponseReply {
  return {
    id,
    object: "response",
    created_at: Math.floor(facts.wallMs / 1000),
    completed_at: null,
    status: "in_progress",
    background: body.background ?? false,
    error: null,
    incomplete_details: null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: body.max_tool_calls ?? null,
    model: facts.model,
    output: [],
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: previousId,
    conversation: conversationId === null ? null : { id: conversationId },
    prompt_cache_key: body.prompt_cache_key ?? null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: readSummary(body) ?? null },
    safety_identifier: body.safety_identifier ?? null,
    service_tier: "default",
    store: facts.stores,
    temperature: body.temperature ?? null,
    text: { format: body.text?.format ?? { type: "text" }, verbosity: body.text?.verbosity ?? "medium" },
    tool_choice: toolChoice,
    tools,
    top_logprobs: body.top_logprobs ?? 0,
    top_p: body.top_p ?? null,
    truncation: facts.truncates ? "auto" : "disabled",
    usage: null,
    user: body.user ?? null,
    metadata: body.metadata ?? {},
    mlo: warnings.length === 0 ? {} : { warnings },
  };
}
