// What the system calls a failure. Pure.

/** Such as `EACCES`; empty: it has no code. */
export function codeOf(thrown: unknown): string {
  return thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
}
