// Waits for a task of the backend or a job of the native library, as a test may: by blocking.

interface Pending<T> extends Disposable {
  poll(): { kind: "done" } | { kind: "failed"; error: unknown } | { kind: string };
  take(): T;
}

/** Its result, once; it is disposed of. Throws what it failed with. */
export function finish<T>(pending: Pending<T>): T {
  using running = pending;
  for (;;) {
    const state = running.poll();
    if (state.kind === "done") return running.take();
    if ("error" in state) throw state.error;
    Bun.sleepSync(1);
  }
}
