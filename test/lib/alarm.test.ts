// The alarm over a clock that the test moves: when it goes off, and how little it asks of the clock.

import { describe, expect, test } from "bun:test";
import { Alarm } from "../../src/lib/alarm.ts";
import { FakeClock } from "../support/fake-clock.ts";

function createAlarm(delayMs: number) {
  const clock = new FakeClock();
  const firedMs: number[] = [];
  const startMs = clock.monotonicMs();
  const alarm = new Alarm(clock, delayMs, () => firedMs.push(clock.monotonicMs() - startMs));
  return { clock, alarm, firedMs };
}

describe("an alarm", () => {
  test("is off until it is set, and goes off once", () => {
    const { clock, alarm, firedMs } = createAlarm(100);
    clock.advance(500);
    expect(firedMs).toEqual([]);
    alarm.set();
    clock.advance(500);
    expect(firedMs).toEqual([600]);
    alarm.set();
    clock.advance(500);
    expect(firedMs).toEqual([600, 1100]);
  });

  test("set again, it waits anew, behind one timer", () => {
    const { clock, alarm, firedMs } = createAlarm(100);
    for (let i = 0; i < 20; i++) {
      alarm.set();
      expect(clock.pendingTimers).toBe(1);
      clock.advance(90);
    }
    expect(firedMs).toEqual([]);
    clock.advance(10);
    expect(firedMs).toEqual([19 * 90 + 100]);
    expect(clock.pendingTimers).toBe(0);
  });

  test("cleared, it stays silent, and can be set again at any time", () => {
    const { clock, alarm, firedMs } = createAlarm(100);
    alarm.set();
    clock.advance(50);
    alarm.clear();
    clock.advance(25);
    alarm.set();
    clock.advance(99);
    expect(firedMs).toEqual([]);
    clock.advance(1);
    expect(firedMs).toEqual([175]);
    alarm.set();
    alarm.clear();
    clock.advance(1000);
    expect(firedMs).toEqual([175]);
  });

  test("disposed, it leaves no timer behind", () => {
    const { clock, alarm, firedMs } = createAlarm(100);
    alarm.set();
    alarm.dispose();
    expect(clock.pendingTimers).toBe(0);
    alarm.set();
    expect(clock.pendingTimers).toBe(0);
    clock.advance(1000);
    expect(firedMs).toEqual([]);
  });

  test("may set itself again when it goes off", () => {
    const clock = new FakeClock();
    let count = 0;
    const alarm: Alarm = new Alarm(clock, 100, () => {
      count++;
      alarm.set();
    });
    alarm.set();
    clock.advance(1000);
    expect(count).toBe(10);
  });
});
