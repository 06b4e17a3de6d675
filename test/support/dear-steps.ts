// A clock by which guessing ahead pays: a step costs much and a row little, whatever this machine takes for them.

import type { LlamaBackend } from "../../src/engine/llama/llama-backend.ts";
import type { DrivenEngine } from "./engine-run.ts";

/** Until it is disposed of, the backend's steps advance the run's clock. */
export function makeStepsDear(backend: LlamaBackend, run: DrivenEngine<LlamaBackend>): Disposable {
  const { decode } = backend;
  backend.decode = (parts) => {
    run.clock.advance(10 + parts.reduce((sum, { tokens }) => sum + tokens.length, 0) / 10);
    return decode.call(backend, parts);
  };
  return { [Symbol.dispose]: () => Object.assign(backend, { decode }) };
}
