// The bounded queue: order, back-pressure, both ways to end.

import { describe, expect, test } from "bun:test";
import { AssertionFailed } from "../../src/lib/assert.ts";
import { AsyncQueue, QueueOverflow } from "../../src/lib/async-queue.ts";

async function readAll<T>(queue: AsyncQueue<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of queue) items.push(item);
  return items;
}

describe("AsyncQueue", () => {
  test("gives items in order, those of before the reader too", async () => {
    const queue = new AsyncQueue<number>({ highWater: 10 });
    queue.push(1);
    queue.push(2);
    const reading = readAll(queue);
    await Promise.resolve();
    queue.push(3);
    queue.end();
    expect(await reading).toEqual([1, 2, 3]);
  });

  test("keeps the order over many items", async () => {
    const queue = new AsyncQueue<number>({ highWater: 5000 });
    const wanted = Array.from({ length: 5000 }, (_, i) => i);
    for (const item of wanted) queue.push(item);
    queue.end();
    expect(queue.size).toBe(5000);
    expect(await readAll(queue)).toEqual(wanted);
    expect(queue.size).toBe(0);
  });

  test("asks for a pause at high water and for more once under low water", async () => {
    let resumed = 0;
    const queue = new AsyncQueue<number>({ highWater: 4, lowWater: 1, onLow: () => resumed++ });
    expect([1, 2, 3, 4, 5].map((item) => queue.push(item))).toEqual([false, false, false, true, true]);
    const iterator = queue[Symbol.asyncIterator]();
    for (let i = 0; i < 3; i++) await iterator.next();
    expect(resumed).toBe(0);
    expect(queue.push(6)).toBe(true);
    await iterator.next();
    await iterator.next();
    expect(resumed).toBe(1);
    await iterator.next();
    expect(resumed).toBe(1);
    expect(queue.push(7)).toBe(false);
  });

  test("refuses items over the hard limit", () => {
    const queue = new AsyncQueue<number>({ highWater: 1, sizeMax: 2 });
    queue.push(1);
    queue.push(2);
    expect(() => queue.push(3)).toThrow(QueueOverflow);
    expect(queue.size).toBe(2);
  });

  test("tells when the reader leaves, drops what is left, takes no more", async () => {
    let abandoned = 0;
    const queue = new AsyncQueue<number>({ highWater: 4, onAbandon: () => abandoned++ });
    queue.push(1);
    queue.push(2);
    for await (const item of queue) if (item === 1) break;
    expect(abandoned).toBe(1);
    expect(queue.size).toBe(0);
    expect(queue.push(3)).toBe(false);
    expect(queue.size).toBe(0);
    queue.end();
    expect(abandoned).toBe(1);
  });

  test("a reader that has read everything abandons nothing", async () => {
    let abandoned = 0;
    const queue = new AsyncQueue<number>({ highWater: 4, onAbandon: () => abandoned++ });
    queue.push(1);
    queue.end();
    for await (const item of queue) if (item === 1) break;
    expect(abandoned).toBe(0);
  });

  test("wakes a waiting reader at the end", async () => {
    const queue = new AsyncQueue<number>({ highWater: 4 });
    const reading = readAll(queue);
    queue.end();
    queue.end();
    expect(await reading).toEqual([]);
  });

  test("misuse is an assertion", async () => {
    const queue = new AsyncQueue<number>({ highWater: 4 });
    queue[Symbol.asyncIterator]();
    expect(() => queue[Symbol.asyncIterator]()).toThrow(AssertionFailed);
    queue.end();
    expect(() => queue.push(1)).toThrow(AssertionFailed);
    expect(() => new AsyncQueue({ highWater: 1, lowWater: 1 })).toThrow(AssertionFailed);
    expect(() => new AsyncQueue({ highWater: 2, sizeMax: 1 })).toThrow(AssertionFailed);
  });
});
