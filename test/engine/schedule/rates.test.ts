// What steps cost, and how much prompt rides beside streams.

import { describe, expect, test } from "bun:test";
import { Rates } from "../../../src/engine/schedule/rates.ts";

const decoding = (ms: number) => ({ promptRows: 0, decodeRows: 4, ms });
const reading = (promptRows: number, ms: number, decodeRows = 0) => ({ promptRows, decodeRows, ms });

function measured(decodeMs: number, rowMs: number): Rates {
  const rates = new Rates();
  rates.record(decoding(decodeMs));
  rates.record(reading(100, 100 * rowMs));
  return rates;
}

describe("rates", () => {
  test("are unknown until both kinds of steps ran", () => {
    const rates = new Rates();
    expect([rates.measured, rates.promptRows(0, 1), rates.promptRows(5, 1)]).toEqual([null, 64, 64]);
    rates.record(decoding(20));
    expect([rates.measured, rates.promptRows(0, 1)]).toEqual([null, 64]);
    rates.record(reading(100, 50));
    expect(rates.measured).toEqual({ stepMs: 20, promptRowMs: 0.5 });
  });

  test("of a mixed step are what a row adds to the streams' step", () => {
    const rates = measured(20, 0.5);
    rates.record(reading(60, 80, 4));
    expect(rates.measured?.promptRowMs).toBeCloseTo(0.6, 6);
  });

  test("follow slowly, and take no notice of a few rows", () => {
    const rates = measured(20, 1);
    rates.record(decoding(120));
    expect(rates.measured?.stepMs).toBeCloseTo(40, 6);
    rates.record(reading(2, 1000));
    expect(rates.measured?.promptRowMs).toBe(1);
  });
});

describe("rows of prompt beside streams", () => {
  test("without a limit: ten times a step's own cost, at most about 64, or more where 40 ms allow it", () => {
    expect(measured(20, 1).promptRows(0, 0)).toBe(64);
    expect(measured(20, 0.1).promptRows(0, 4)).toBe(200);
    expect(measured(15, 5).promptRows(0, 0)).toBe(32);
    expect(measured(1, 5).promptRows(0, 0)).toBe(16);
  });

  test("without a limit: all rows of the step together fill whole vectors", () => {
    expect(measured(15, 5).promptRows(0, 1)).toBe(31);
    expect(measured(15, 5).promptRows(0, 7)).toBe(41);
    expect(measured(20, 1).promptRows(0, 16)).toBe(64);
  });

  test("with a limit: what fits into the gap beside the streams' own step, and never none", () => {
    expect(measured(20, 1).promptRows(100, 1)).toBe(80);
    expect(measured(20, 1).promptRows(50, 1)).toBe(30);
    expect(measured(20, 1).promptRows(10, 1)).toBe(8);
  });
});
