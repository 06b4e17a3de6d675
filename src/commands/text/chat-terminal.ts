// Lines from a terminal for `run`: prompt, history and Ctrl-C, by node:readline. In its raw mode Ctrl-C
// comes as a key and not as a signal, so this is where interrupts are seen.

import { createInterface } from "node:readline";

export interface ChatTerminal {
  /** The next line; null when the person leaves (Ctrl-D). `interrupted` when Ctrl-C was pressed at the prompt. */
  readLine(prompt: string): Promise<{ line: string } | "interrupted" | null>;
  /** What Ctrl-C does while no line is being read. */
  onInterrupt(handler: (() => void) | null): void;
  close(): void;
}

export function openTerminal(stdin: NodeJS.ReadableStream, stdout: NodeJS.WritableStream): ChatTerminal {
  const reader = createInterface({ input: stdin, output: stdout, terminal: true, historySize: 200 });
  let waiting: ((result: { line: string } | "interrupted" | null) => void) | null = null;
  let handler: (() => void) | null = null;
  let closed = false;
  const answer = (result: { line: string } | "interrupted" | null): void => {
    const resolve = waiting;
    waiting = null;
    resolve?.(result);
  };
  // Lines typed while an answer streams are dropped: nobody asked for them.
  reader.on("line", (line) => answer({ line }));
  reader.on("close", () => {
    closed = true;
    answer(null);
    handler?.();
  });
  reader.on("SIGINT", () => {
    if (waiting !== null) answer("interrupted");
    else handler?.();
  });
  return {
    readLine(prompt) {
      if (closed) return Promise.resolve(null);
      reader.setPrompt(prompt);
      reader.prompt();
      return new Promise((resolve) => {
        waiting = resolve;
      });
    },
    onInterrupt(next) {
      handler = next;
    },
    close: () => reader.close(),
  };
}
