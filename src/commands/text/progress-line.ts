// A download's progress for a person: one line that is drawn again on a terminal, and plain lines now and then elsewhere.
// Pure but for what it writes.

import type { Clock } from "../../lib/clock.ts";

export interface ProgressOutput {
  write(text: string): unknown;
  isTty: boolean;
  /** Of the terminal. */
  columns?: number | undefined;
}

/** Faster is not seen. */
const DRAW_INTERVAL_MS = 100;
/** In a log. */
const LINE_INTERVAL_MS = 10_000;
/** The speed is that of about so long. */
const SPEED_WINDOW_MS = 5_000;
const BAR_CHARS = 24;

export class ProgressLine {
  #drawnAtMs = Number.NEGATIVE_INFINITY;
  #samples: { atMs: number; bytes: number }[] = [];
  #open = false;

  constructor(
    private readonly output: ProgressOutput,
    private readonly clock: Clock,
  ) {}

  show(label: string, doneBytes: number, totalBytes: number): void {
    const nowMs = this.clock.monotonicMs();
    const isLast = doneBytes >= totalBytes;
    if (this.#samples.length === 0 || nowMs - (this.#samples.at(-1)?.atMs ?? 0) >= DRAW_INTERVAL_MS) {
      this.#samples.push({ atMs: nowMs, bytes: doneBytes });
      this.#samples = this.#samples.filter(({ atMs }) => nowMs - atMs <= SPEED_WINDOW_MS);
    }
    const intervalMs = this.output.isTty ? DRAW_INTERVAL_MS : LINE_INTERVAL_MS;
    if (!isLast && nowMs - this.#drawnAtMs < intervalMs) return;
    this.#drawnAtMs = nowMs;
    const first = this.#samples[0];
    const spanMs = first === undefined ? 0 : nowMs - first.atMs;
    const bytesPerSecond = spanMs < DRAW_INTERVAL_MS ? null : ((doneBytes - (first?.bytes ?? 0)) / spanMs) * 1000;
    const text = renderProgress({ label, doneBytes, totalBytes, bytesPerSecond }, this.output.isTty);
    if (!this.output.isTty) {
      this.output.write(`${text}\n`);
      return;
    }
    // A line that wraps can't be drawn again in its place.
    this.output.write(`\r\u001b[K${text.slice(0, Math.max(20, (this.output.columns ?? 80) - 1))}`);
    this.#open = true;
  }

  /** A line of its own, such as why it waits. */
  note(text: string): void {
    this.end();
    this.output.write(`${text}\n`);
  }

  /** What comes next begins anew: another file. */
  end(): void {
    if (this.#open) this.output.write("\n");
    this.#open = false;
    this.#samples = [];
    this.#drawnAtMs = Number.NEGATIVE_INFINITY;
  }
}

export interface Progress {
  label: string;
  doneBytes: number;
  totalBytes: number;
  /** Null: not known yet. */
  bytesPerSecond: number | null;
}

export function renderProgress({ label, doneBytes, totalBytes, bytesPerSecond }: Progress, withBar: boolean): string {
  const share = totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes);
  const filled = Math.floor(share * BAR_CHARS);
  const bar = withBar ? ` [${"#".repeat(filled)}${".".repeat(BAR_CHARS - filled)}]` : "";
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  const known = bytesPerSecond !== null && bytesPerSecond > 0;
  const left = known && share < 1 ? `, ${formatSeconds((totalBytes - doneBytes) / bytesPerSecond)} left` : "";
  const speed = known ? `, ${formatMega(bytesPerSecond)}/s${left}` : "";
  return `${label}${bar} ${percent} ${formatMega(doneBytes)} of ${formatMega(totalBytes)}${speed}`;
}

/** `0.3 MB`, `1,204 MB`: one unit throughout, so that the line keeps still. */
function formatMega(bytes: number): string {
  const mega = bytes / 1e6;
  return `${mega >= 100 ? Math.round(mega).toLocaleString("en-US") : mega.toFixed(1)} MB`;
}

function formatSeconds(seconds: number): string {
  if (seconds >= 360_000) return "days";
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  const two = (value: number): string => String(value).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
