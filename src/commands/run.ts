// `run MODEL [PROMPT]`: a chat in the terminal. It talks HTTP to a server, be it in this process or
// elsewhere. On a terminal it streams and keeps the history; piped it prints the plain answer; with
// `--json` one object. Starts no server and ends no process: it returns the exit code.

import { AppError, toAppError } from "../protocol/errors.ts";
import { type ChatCall, type ChatTurn, type ChatUsage, streamChat } from "./chat-client.ts";
import { describeError } from "./describe-error.ts";
import { EXIT_CODES, type ExitCode } from "./exit-codes.ts";
import { type ChatTerminal, openTerminal } from "./text/chat-terminal.ts";

export interface RunChatOptions {
  baseUrl: string;
  apiKey?: string | null;
  model: string;
  prompt?: string | null;
  system?: string | null;
  maxTokens?: number | null;
  temperature?: number | null;
  json?: boolean;
  stdin: NodeJS.ReadableStream;
  stdout: NodeJS.WritableStream;
  stderr: { write(text: string): unknown };
  isTty: { stdin: boolean; stdout: boolean };
  /** SIGINT or SIGTERM while one answer is made: it stops, and the exit code says so. */
  signal?: AbortSignal;
  /** For tests: stands in for the terminal of an interactive chat. */
  terminal?: ChatTerminal;
}

/** A prompt comes with the body of one request, whose limit is 32 MiB of JSON. */
const STDIN_BYTES_MAX = 16 * 1024 * 1024;

interface Answer {
  text: string;
  reasoning: string;
  finishReason: string | null;
  usage: ChatUsage | null;
  interrupted: boolean;
}

export async function runChat(options: RunChatOptions): Promise<ExitCode> {
  try {
    const piped = options.isTty.stdin ? "" : await readAll(options.stdin);
    const prompt = [options.prompt ?? "", piped.trim()].filter((part) => part !== "").join("\n\n");
    if (prompt !== "") return await answerOnce(options, prompt);
    if (options.isTty.stdin && options.json !== true) return await chat(options);
    options.stderr.write("There is no prompt: give one behind the model's name or on stdin.\n");
    return EXIT_CODES.usage;
  } catch (thrown) {
    reportError(options, thrown);
    return EXIT_CODES.failed;
  }
}

async function answerOnce(options: RunChatOptions, prompt: string): Promise<ExitCode> {
  const messages: ChatTurn[] = [...systemTurns(options), { role: "user", content: prompt }];
  const signal = options.signal ?? new AbortController().signal;
  const answer = await streamAnswer(options, messages, signal, options.json !== true);
  if (options.json === true) {
    const { text, reasoning, finishReason, usage } = answer;
    const found = { model: options.model, content: text, finish_reason: finishReason, usage };
    options.stdout.write(`${JSON.stringify(reasoning === "" ? found : { ...found, reasoning_content: reasoning })}\n`);
  }
  return answer.interrupted ? EXIT_CODES.interrupted : EXIT_CODES.ok;
}

async function chat(options: RunChatOptions): Promise<ExitCode> {
  const terminal = options.terminal ?? openTerminal(options.stdin, options.stdout);
  let history: ChatTurn[] = systemTurns(options);
  let interruptedBefore = false;
  options.stderr.write(`Chatting with ${options.model}. /help shows the commands.\n`);
  try {
    for (;;) {
      const read = await terminal.readLine(">>> ");
      if (read === null) return EXIT_CODES.ok;
      if (read === "interrupted") {
        if (interruptedBefore) return EXIT_CODES.interrupted;
        options.stderr.write("\nCtrl-C again or /bye ends the chat.\n");
        interruptedBefore = true;
        continue;
      }
      interruptedBefore = false;
      const line = read.line.trim();
      if (line === "/bye" || line === "/exit") return EXIT_CODES.ok;
      if (line === "/clear") {
        history = systemTurns(options);
        options.stderr.write("The history is empty.\n");
      } else if (line.startsWith("/")) {
        options.stderr.write(line === "/help" ? CHAT_HELP : `There is no command ${line}.\n${CHAT_HELP}`);
      } else if (line !== "") {
        history = await takeTurn(options, terminal, history, line);
      }
    }
  } finally {
    terminal.close();
  }
}

const CHAT_HELP =
  "/bye    end the chat (also Ctrl-D)\n/clear  forget what was said\n/help   show this\nCtrl-C  stop the answer\n";

/** One question and its answer; returns the history with both. A failed turn leaves it as it was. */
async function takeTurn(
  options: RunChatOptions,
  terminal: ChatTerminal,
  history: ChatTurn[],
  line: string,
): Promise<ChatTurn[]> {
  const stop = new AbortController();
  terminal.onInterrupt(() => stop.abort());
  const asked: ChatTurn[] = [...history, { role: "user", content: line }];
  try {
    const answer = await streamAnswer(options, asked, stop.signal, true);
    if (answer.interrupted) options.stderr.write("(stopped)\n");
    return [...asked, { role: "assistant", content: answer.text }];
  } catch (thrown) {
    reportError(options, thrown);
    return history;
  } finally {
    terminal.onInterrupt(null);
  }
}

async function streamAnswer(
  options: RunChatOptions,
  messages: readonly ChatTurn[],
  signal: AbortSignal,
  show: boolean,
): Promise<Answer> {
  const call: ChatCall = {
    baseUrl: options.baseUrl.replace(/\/+$/, ""),
    apiKey: options.apiKey ?? null,
    model: options.model,
    messages,
    maxTokens: options.maxTokens ?? null,
    temperature: options.temperature ?? null,
  };
  const answer: Answer = { text: "", reasoning: "", finishReason: null, usage: null, interrupted: false };
  const screen = new Screen(options.stdout, show, options.isTty.stdout);
  try {
    for await (const piece of streamChat(call, signal)) {
      if (piece.type === "text") answer.text += piece.text;
      if (piece.type === "reasoning") answer.reasoning += piece.text;
      if (piece.type === "finish") answer.finishReason = piece.reason;
      if (piece.type === "usage") answer.usage = piece.usage;
      if (piece.type === "text" || piece.type === "reasoning") screen.show(piece.type, piece.text);
    }
  } finally {
    screen.end();
  }
  answer.interrupted = signal.aborted && answer.finishReason === null;
  return answer;
}

/** Writes an answer. Thoughts are dimmed on a terminal and left out of a pipe. */
class Screen {
  #part: "text" | "reasoning" | null = null;
  #last = "\n";

  constructor(
    private readonly out: NodeJS.WritableStream,
    private readonly visible: boolean,
    private readonly isTty: boolean,
  ) {}

  show(part: "text" | "reasoning", text: string): void {
    if (!this.visible || (part === "reasoning" && !this.isTty)) return;
    if (part !== this.#part) this.#startPart(part);
    const safe = this.isTty ? stripControls(text) : text;
    if (safe === "") return;
    this.out.write(safe);
    this.#last = safe.at(-1) ?? this.#last;
  }

  end(): void {
    if (this.#part === "reasoning") this.out.write(RESET);
    if (this.#part !== null && this.#last !== "\n") this.out.write("\n");
  }

  #startPart(part: "text" | "reasoning"): void {
    if (part === "reasoning") this.out.write(DIM);
    else if (this.#part === "reasoning") this.out.write(`${RESET}\n\n`);
    this.#part = part;
  }
}

const DIM = "\u001b[2m";
const RESET = "\u001b[0m";

/** A model's text must not move the cursor or rename the window. */
function stripControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes.
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "");
}

function systemTurns(options: RunChatOptions): ChatTurn[] {
  return options.system ? [{ role: "system", content: options.system }] : [];
}

function reportError(options: RunChatOptions, thrown: unknown): void {
  options.stderr.write(describeError(toAppError(thrown)));
}

async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    const buffer = Buffer.from(chunk);
    bytes += buffer.byteLength;
    if (bytes > STDIN_BYTES_MAX) {
      throw new AppError({ code: "payload_too_large", message: `stdin holds more than ${STDIN_BYTES_MAX} bytes` });
    }
    chunks.push(buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}
