// The table of errors: complete, and kept across the process boundary.

import { describe, expect, test } from "bun:test";
import { AppError, ERROR_KINDS, type ErrorCode, toAppError } from "../../src/protocol/errors.ts";

describe("the table", () => {
  test.each(Object.entries(ERROR_KINDS))("%s says what to do", (_code, kind) => {
    expect(kind.status).toBeGreaterThanOrEqual(400);
    expect(kind.status).toBeLessThan(600);
    expect(kind.hint).toMatch(/^[A-Z/].*\.$/);
  });

  test("what is the caller's fault is not worth a retry, except for waiting and leaving", () => {
    const retryable = Object.entries(ERROR_KINDS).filter(([, kind]) => kind.retryable && kind.status < 500);
    expect(retryable.map(([code]) => code).sort()).toEqual(["cancelled", "rate_limited"]);
  });
});

describe("AppError", () => {
  test("takes what the table says, unless the thrower knows better", () => {
    const error = new AppError({ code: "overloaded", message: "busy" });
    expect([error.status, error.retryable, error.hint, error.param]).toEqual([
      503,
      true,
      ERROR_KINDS.overloaded.hint,
      null,
    ]);
    expect(new AppError({ code: "overloaded", message: "busy", hint: "Wait." }).hint).toBe("Wait.");
  });

  test("survives its way as a body", () => {
    const codes = Object.keys(ERROR_KINDS) as ErrorCode[];
    for (const code of codes) {
      const error = new AppError({ code, message: "m", param: "messages[0]" });
      const again = new AppError(JSON.parse(JSON.stringify(error.toBody())));
      expect([again.code, again.message, again.hint, again.param]).toEqual([code, "m", error.hint, "messages[0]"]);
    }
    expect("param" in new AppError({ code: "internal", message: "m" }).toBody()).toBe(false);
  });

  test("keeps its cause", () => {
    const cause = new Error("deep");
    expect(new AppError({ code: "internal", message: "m" }, { cause }).cause).toBe(cause);
  });
});

describe("toAppError", () => {
  test("leaves an AppError as it is, and makes everything else internal", () => {
    const error = new AppError({ code: "timeout", message: "late" });
    expect(toAppError(error)).toBe(error);
    expect(toAppError(new TypeError("bad"))).toMatchObject({ code: "internal", message: "bad" });
    expect(toAppError("text")).toMatchObject({ code: "internal", message: "text" });
    expect(toAppError(undefined).message).toBe("undefined");
  });
});
