// `ps`, `load`, `switch` and `unload`: a running server's models in memory, over its HTTP API. Decides nothing about them.

import type { ModelLoadReply, ModelStatusReply, ModelUnloadReply } from "../api/manage/loading-schema.ts";
import { formatBytes } from "../lib/byte-count.ts";
import { AppError, ERROR_KINDS, type ErrorCode } from "../protocol/errors.ts";
import type { ManageArguments } from "./arguments/manage-specs.ts";
import { EXIT_CODES, type ExitCode } from "./exit-codes.ts";

export async function manage(args: ManageArguments, write: (text: string) => void): Promise<ExitCode> {
  const { verb, model, json } = args;
  const answer = await ask(args, verb === "ps" ? null : { model });
  if (json) write(`${JSON.stringify(answer, null, 2)}\n`);
  else if (verb === "ps") write(renderStatus(answer as ModelStatusReply));
  else if (verb === "unload") write(renderUnloaded(answer as ModelUnloadReply));
  else write(renderLoaded(answer as ModelLoadReply));
  return EXIT_CODES.ok;
}

/** Throws `AppError` with the server's own message. */
async function ask({ verb, server, apiKey }: ManageArguments, body: object | null): Promise<unknown> {
  const url = `${server}/api/models/${verb === "ps" ? "status" : verb}`;
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (apiKey !== null) headers.authorization = `Bearer ${apiKey}`;
  const init: RequestInit = body === null ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  let response: Response;
  try {
    // A load takes as long as it takes; the server has limits of its own.
    response = await fetch(url, { ...init, timeout: false } as RequestInit);
  } catch (thrown) {
    const message = `${server} does not answer: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
    throw new AppError({ code: "internal", message, hint: "Is the server running there?" }, { cause: thrown });
  }
  const text = await response.text();
  if (!response.ok) throw readError(response.status, text);
  return JSON.parse(text);
}

function readError(status: number, text: string): AppError {
  let error: { code?: string; message?: string; hint?: string } = {};
  try {
    error = (JSON.parse(text) as { error?: typeof error }).error ?? {};
  } catch (_notOurs) {
    // Something else answers there.
    error = { message: `the server answered ${status}: ${text.slice(0, 200)}` };
  }
  const { code, message = `the server answered ${status}`, hint } = error;
  const known = code !== undefined && Object.hasOwn(ERROR_KINDS, code) ? (code as ErrorCode) : "internal";
  return new AppError({ code: known, message, ...(hint === undefined ? {} : { hint }) });
}

function renderStatus({ pools, models }: ModelStatusReply): string {
  const rows = models.map((model) => {
    const { memory, requests, tokensPerSecond, sleepsInMs } = model;
    const marks = [...(model.default ? ["default"] : []), ...(model.pinned ? ["pinned"] : [])];
    return [
      model.id + (marks.length === 0 ? "" : ` (${marks.join(", ")})`),
      model.state,
      orDash(model.plannedBytes, formatPools),
      orDash(model.measuredBytes, formatPools),
      memory === null ? "-" : `${formatBytes(memory.anonBytes)} + ${formatBytes(memory.mappedBytes)}`,
      `${requests.running} + ${requests.queued + requests.waiting}`,
      orDash(tokensPerSecond.generation, (rate) => rate.toFixed(1)),
      orDash(sleepsInMs, (ms) => `${Math.ceil(ms / 1000)} s`),
    ];
  });
  const table = [["MODEL", "STATE", "PLANNED", "MEASURED", "MEMORY", "REQUESTS", "TOKENS/S", "SLEEPS IN"], ...rows];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const sums = pools.map(({ name, budgetBytes, plannedBytes }) => {
    const budget = budgetBytes === null ? "no limit" : formatBytes(budgetBytes);
    return `${name}: ${formatBytes(plannedBytes)} of ${budget} planned.\n`;
  });
  return `${lines.join("\n")}\n${sums.join("")}`;
}

function formatPools(bytes: readonly number[]): string {
  return bytes.map(formatBytes).join(" + ");
}

function renderLoaded({ id, state, loadMs, devices, backend }: ModelLoadReply): string {
  const time = loadMs === null ? "" : ` (${Math.round(loadMs)} ms, ${devices.join(", ")})`;
  const fallback = backend?.fallback ?? null;
  return `${id} is ${state}${time}.\n${fallback === null ? "" : `It computes on ${fallback}.\n`}`;
}

function renderUnloaded({ id, state, loadsGivenUp, freed }: ModelUnloadReply): string {
  const bytes = freed?.hostBytes ?? null;
  const given = loadsGivenUp === 0 ? "" : `Loads given up for it: ${loadsGivenUp}.\n`;
  return `${id} is ${state}${bytes === null ? "" : `: ${formatBytes(bytes)} came back`}.\n${given}`;
}

function orDash<T>(value: T | null, format: (value: T) => string): string {
  return value === null ? "-" : format(value);
}
