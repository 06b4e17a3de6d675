// What a failure of one embedding request means for the others.

import { expect, test } from "bun:test";
import { Embedder } from "../../src/engine/embedder.ts";
import type { FromEngine } from "../../src/protocol/messages.ts";
import { FakeBackend } from "../support/fake-backend.ts";

test("an answer that can't be sent is refused, and the request behind it is answered", () => {
  const sent: FromEngine[] = [];
  const backend = new FakeBackend({});
  using embedder = new Embedder(backend, (message) => {
    if (message.type === "embeddings" && message.id === 1) throw new Error("the frame is over its limit");
    sent.push(message);
  });
  embedder.add(1, ["one"]);
  embedder.add(2, ["two"]);
  for (let i = 0; i < 100; i++) embedder.step();
  expect(sent).toMatchObject([
    { type: "refused", id: 1 },
    { type: "embeddings", id: 2 },
  ]);
});
