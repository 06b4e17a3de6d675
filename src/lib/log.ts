// The log: one line per event, on stderr only, since stdout belongs to answers and `--ready-json`.
// Text for people, JSON for collectors. Must not throw: a log line is never worth a request.

import { type Clock, systemClock } from "./clock.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const LOG_FORMATS = ["text", "json"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

export type LogFields = Record<string, unknown>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to each of its lines. */
  child(fields: LogFields): Logger;
}

export interface LoggerOptions {
  level: LogLevel;
  format: LogFormat;
  /** Gets each line, newline included. Default: stderr. */
  write?: (line: string) => void;
  clock?: Clock;
}

/** A field's text is cut here: a prompt or a native log must not turn one line into megabytes. */
const FIELD_CHARS_MAX = 4096;

export function createLogger(options: LoggerOptions): Logger {
  const clock = options.clock ?? systemClock;
  const write = options.write ?? ((line: string) => void process.stderr.write(line));
  const threshold = LOG_LEVELS.indexOf(options.level);
  const render = options.format === "json" ? renderJson : renderText;
  const build = (base: LogFields): Logger => {
    const at = (level: LogLevel) => (message: string, fields?: LogFields) => {
      if (LOG_LEVELS.indexOf(level) < threshold) return;
      const time = new Date(clock.wallMs()).toISOString();
      write(`${render(time, level, message, fields === undefined ? base : { ...base, ...fields })}\n`);
    };
    return {
      debug: at("debug"),
      info: at("info"),
      warn: at("warn"),
      error: at("error"),
      child: (fields) => build({ ...base, ...fields }),
    };
  };
  return build({});
}

/** For tests and library use: says nothing. */
export const silentLogger: Logger = createLogger({ level: "silent", format: "text", write: () => {} });

function renderJson(time: string, level: LogLevel, message: string, fields: LogFields): string {
  const line: Record<string, unknown> = { time, level, message };
  for (const [key, value] of Object.entries(fields)) {
    // A field can't pretend to be the time, the level or the message.
    if (value !== undefined) line[key in line ? `${key}_` : key] = plainValue(value);
  }
  return JSON.stringify(line);
}

function renderText(time: string, level: LogLevel, message: string, fields: LogFields): string {
  let line = `${time} ${level.toUpperCase().padEnd(5)} ${escapeControls(message)}`;
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const plain = plainValue(value);
    const text = typeof plain === "string" ? plain : JSON.stringify(plain);
    line += ` ${key}=${escapeControls(/^[^\s"=]+$/.test(text) ? text : JSON.stringify(text))}`;
  }
  return line;
}

/** A value that JSON can hold, cut to the limit; errors become their message. */
function plainValue(value: unknown): unknown {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (value instanceof Error) return cut(value.message);
  if (typeof value === "string") return cut(value);
  if (typeof value === "object") {
    try {
      const text = JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? inner.toString() : inner));
      return text.length <= FIELD_CHARS_MAX ? JSON.parse(text) : cut(text);
    } catch (thrown) {
      return `[not printable: ${thrown instanceof Error ? cut(thrown.message) : "unknown"}]`;
    }
  }
  return cut(String(value));
}

function cut(text: string): string {
  return text.length <= FIELD_CHARS_MAX ? text : `${text.slice(0, FIELD_CHARS_MAX)}… (${text.length} characters)`;
}

/** One event stays one line, and no terminal codes come from a model's or a client's text. */
function escapeControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes.
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (char) => {
    return char === "\n" ? "\\n" : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
