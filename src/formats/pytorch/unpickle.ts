// A pickle read as data: opcode after opcode until it stops. Nothing that a file says is ever executed or imported.

import { OutOfFileError, type WindowedFile } from "../windowed-file.ts";
import { OPCODES } from "./opcodes.ts";
import { type PersistentId, PickleMachine } from "./pickle-machine.ts";
import { PickleError, type PickleValue } from "./pickle-values.ts";

/** Ten thousand tensors take some 600,000. */
const OPCODES_MAX = 10_000_000;
const STOP = 0x2e;

export interface Unpickled {
  value: PickleValue;
  /** Where the bytes behind the pickle begin. */
  end: number;
  /** Names that it asked for and did not get, such as `posix.system`, in their order. */
  refused: string[];
}

/** Throws `PickleError`. */
export function unpickle(file: WindowedFile, start: number, findStorage: PersistentId): Unpickled {
  const machine = new PickleMachine(file, start, findStorage);
  try {
    for (let count = 0; count < OPCODES_MAX; count++) {
      const at = machine.at;
      const code = machine.u8();
      if (code === STOP) return { value: machine.pop(), end: machine.at, refused: [...machine.refused] };
      const run = OPCODES.get(code);
      if (run === undefined) {
        const shown = `0x${code.toString(16).padStart(2, "0")}`;
        throw new PickleError("unsupported", `the pickle has the opcode ${shown} at byte ${at}, which is not read`);
      }
      run(machine);
    }
  } catch (thrown) {
    if (thrown instanceof OutOfFileError)
      throw new PickleError("truncated", `the pickle has no end: ${thrown.message}`);
    throw thrown;
  }
  throw new PickleError("limit", `the pickle has over ${OPCODES_MAX} opcodes`);
}
