import { expect, test } from "bun:test";
import { Type } from "@sinclair/typebox";
import Ajv2020 from "ajv/dist/2020.js";
import { documentSchema } from "../../src/api/document-schema.ts";

const Request = Type.Object({
  name: Type.String(),
  size: Type.Optional(Type.Integer({ minimum: 1, description: "How large." })),
  mode: Type.Optional(Type.Union([Type.Literal("a"), Type.Literal("b")])),
  kind: Type.Optional(Type.Literal("x", { description: "What." })),
  free: Type.Optional(Type.Unknown()),
  map: Type.Optional(Type.Record(Type.String(), Type.Number())),
  parts: Type.Optional(Type.Array(Type.Object({ text: Type.Optional(Type.String()) }))),
});

function accepts(takesNulls: boolean, value: object): boolean {
  return new Ajv2020({ strict: false }).compile(documentSchema(Request, takesNulls))(value);
}

const NULLS = { name: "x", size: null, mode: null, kind: null, free: null, map: null, parts: [{ text: null }] };

test("optional fields of requests may be null, in parts of them too; required ones and items may not", () => {
  expect(accepts(true, NULLS)).toBe(true);
  for (const wrong of [{ name: null }, { name: "x", parts: [null] }, { name: "x", map: { a: null } }]) {
    expect(accepts(true, wrong)).toBe(false);
  }
  for (const field of ["size", "mode", "kind", "map"]) expect(accepts(false, { name: "x", [field]: null })).toBe(false);
});

test("everything else is kept", () => {
  for (const takesNulls of [true, false]) {
    expect(accepts(takesNulls, { name: "x", size: 1, mode: "a", kind: "x", map: { a: 1 }, parts: [{}] })).toBe(true);
    for (const wrong of [{}, { name: "x", size: 0 }, { name: "x", mode: "c" }, { name: "x", map: { a: "b" } }]) {
      expect(accepts(takesNulls, wrong)).toBe(false);
    }
  }
  expect(documentSchema(Request, true)).toMatchObject({
    properties: {
      size: { description: "How large.", minimum: 1, type: ["integer", "null"] },
      kind: { description: "What." },
      map: { type: ["object", "null"], additionalProperties: { type: "number" } },
    },
  });
});
