// Checks of what must be true if the program is right. A failed one is a bug, never a user's mistake:
// operating errors are `AppError` (protocol/errors.ts).

export class AssertionFailed extends Error {
  constructor(message: string) {
    super(`assertion failed: ${message}`);
    this.name = "AssertionFailed";
  }
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailed(message);
}
