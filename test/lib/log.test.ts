// The log's lines: levels, fields, and that no text from outside can break them.

import { describe, expect, test } from "bun:test";
import { createLogger, type LogFormat, type LogLevel } from "../../src/lib/log.ts";
import { FakeClock } from "../support/fake-clock.ts";

function capture(level: LogLevel, format: LogFormat) {
  const lines: string[] = [];
  const logger = createLogger({ level, format, write: (line) => void lines.push(line), clock: new FakeClock(0) });
  return { logger, lines };
}

describe("text", () => {
  test("a line with fields", () => {
    const { logger, lines } = capture("info", "text");
    logger.child({ model: "a b" }).warn("slow load", { ms: 12, path: "/x", none: undefined, list: [1] });
    expect(lines).toEqual(['1970-01-01T00:00:00.000Z WARN  slow load model="a b" ms=12 path=/x list=[1]\n']);
  });

  test("lines below the level are left out", () => {
    const { logger, lines } = capture("warn", "text");
    logger.debug("a");
    logger.info("b");
    logger.warn("c");
    logger.error("d");
    expect(lines).toHaveLength(2);
    const silent = capture("silent", "text");
    silent.logger.error("e");
    expect(silent.lines).toEqual([]);
  });

  test("one event stays one line without control codes", () => {
    const { logger, lines } = capture("info", "text");
    logger.info("a\nb\u001b[31m", { field: "c\nd\u009b" });
    expect(lines[0]).toEndWith(' INFO  a\\nb\\u001b[31m field="c\\nd\\u009b"\n');
    expect(lines[0]?.split("\n")).toHaveLength(2);
  });
});

describe("JSON", () => {
  test("a line with fields of every kind", () => {
    const { logger, lines } = capture("debug", "json");
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    logger.error("m", { error: new Error("why"), big: 5n, inner: { n: 1n }, nan: Number.NaN, level: "info", circle });
    const line = JSON.parse(lines[0] ?? "");
    expect(line).toMatchObject({ level: "error", message: "m", error: "why", big: "5", inner: { n: "1" }, nan: "NaN" });
    expect(line.level_).toBe("info");
    expect(line.circle).toStartWith("[not printable");
  });

  test("long values are cut", () => {
    const { logger, lines } = capture("debug", "json");
    logger.info("m", { text: "x".repeat(100_000), list: Array.from({ length: 10_000 }, () => "y") });
    expect(lines[0]?.length).toBeLessThan(20_000);
  });
});
