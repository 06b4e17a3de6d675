// Schemas of the shapes that agents and libraries send: written here, after what Cline, MCP servers, OpenAPI documents,
// zod and pydantic produce, with the mistakes that are common in them.

const draft7 = "http://json-schema.org/draft-07/schema#";
const text = { type: "string" };
const many = (count: number, make: (i: number) => unknown) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`field_${i}`, make(i)]));

export const AGENT_SCHEMAS: Record<string, unknown> = {
  "cline: read files": {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    properties: {
      files: {
        type: "array",
        minItems: 1,
        items: {
          type: "object",
          properties: {
            path: { type: "string", description: "The path" },
            start_line: { type: "integer", minimum: 1, maximum: 9007199254740991 },
            end_line: { anyOf: [{ type: "integer", exclusiveMinimum: 0 }, { type: "null" }] },
          },
          required: ["path"],
          additionalProperties: false,
        },
      },
    },
    required: ["files"],
    additionalProperties: false,
  },
  "cline: union of inputs": {
    anyOf: [
      { type: "object", properties: { commands: { type: "array", items: text } }, required: ["commands"] },
      { type: "object", properties: { command: text }, required: ["command"] },
      text,
    ],
  },
  "mcp: no arguments": { type: "object", properties: {} },
  "mcp: without a type": { properties: { query: text }, required: ["query"] },
  "mcp: draft 7 tuple": {
    $schema: draft7,
    type: "object",
    properties: { range: { type: "array", items: [{ type: "integer" }, { type: "integer" }], additionalItems: false } },
  },
  "mcp: definitions": {
    $schema: draft7,
    type: "object",
    properties: { filter: { $ref: "#/definitions/Filter" } },
    definitions: {
      Filter: {
        oneOf: [
          {
            type: "object",
            properties: { and: { type: "array", items: { $ref: "#/definitions/Filter" } } },
            required: ["and"],
          },
          { type: "object", properties: { field: text, value: {} }, required: ["field", "value"] },
        ],
      },
    },
  },
  "mcp: any value": { type: "object", properties: { payload: {}, meta: true } },
  "openapi: nullable and formats": {
    type: "object",
    properties: {
      id: { type: "integer", format: "int64", example: 3 },
      when: { type: "string", format: "date-time", nullable: true },
      mail: { type: "string", format: "email" },
      picture: { type: "string", format: "byte" },
      price: { type: "number", format: "double", minimum: 0, multipleOf: 0.01 },
    },
    required: ["id", "mail"],
  },
  "openapi: allOf with discriminator": {
    allOf: [
      { type: "object", properties: { kind: text }, required: ["kind"], discriminator: { propertyName: "kind" } },
      { type: "object", properties: { size: { type: "integer", minimum: 0, exclusiveMinimum: true } } },
    ],
  },
  "openapi: free map": { type: "object", additionalProperties: text },
  "zod: discriminated union": {
    oneOf: [
      {
        type: "object",
        properties: { type: { const: "a", type: "string" }, n: { type: "number" } },
        required: ["type", "n"],
        additionalProperties: false,
      },
      {
        type: "object",
        properties: { type: { type: "string", enum: ["b"] }, s: text },
        required: ["type", "s"],
        additionalProperties: false,
      },
    ],
  },
  "zod: record, tuple, literal, default": {
    type: "object",
    properties: {
      labels: { type: "object", propertyNames: text, additionalProperties: { type: "string" } },
      point: { type: "array", prefixItems: [{ type: "number" }, { type: "number" }], items: false },
      mode: { default: "fast", type: "string", enum: ["fast", "slow"] },
      version: { type: "number", const: 2 },
      id: {
        type: "string",
        format: "uuid",
        pattern: "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12})$",
      },
    },
    required: ["labels", "point", "mode", "version"],
    additionalProperties: false,
  },
  "zod: recursive": {
    $ref: "#/$defs/Category",
    $defs: {
      Category: {
        type: "object",
        properties: { name: text, children: { type: "array", items: { $ref: "#/$defs/Category" } } },
        required: ["name", "children"],
        additionalProperties: false,
      },
    },
  },
  "pydantic: optional, defs, title": {
    $defs: { Color: { enum: ["red", "green"], title: "Color", type: "string" } },
    properties: {
      color: { anyOf: [{ $ref: "#/$defs/Color" }, { type: "null" }], default: null, title: "Color" },
      count: { default: 1, exclusiveMinimum: 0, maximum: 100, title: "Count", type: "integer" },
      ratio: {
        anyOf: [{ type: "number" }, { type: "string", pattern: "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$" }],
        title: "Ratio",
      },
      tags: { items: text, title: "Tags", type: "array", uniqueItems: true },
    },
    required: ["tags"],
    title: "Item",
    type: "object",
  },
  "pydantic: reference with a description beside it": {
    $defs: { Point: { properties: { x: { type: "number" } }, required: ["x"], type: "object" } },
    properties: { at: { $ref: "#/$defs/Point", description: "where" } },
    type: "object",
  },
  "types of other languages": {
    type: "object",
    properties: { a: { type: "str" }, b: { type: "float" }, c: { type: "Array", items: { type: "int" } } },
  },
  "required as a flag": { type: "object", properties: { a: { type: "string", required: true } } },
  "properties that are no schemas": { type: "object", properties: { a: null, b: "string", c: [] }, required: "a" },
  "an unknown reference": { type: "object", properties: { a: { $ref: "https://example.com/other.json" } } },
  "patterns, anchored or not": {
    type: "object",
    properties: {
      branch: { type: "string", pattern: "^[a-zA-Z0-9._/-]+$" },
      part: { type: "string", pattern: "[0-9]{2,}" },
      file: { type: "string", pattern: "\\.(ts|js)x?$", minLength: 3, maxLength: 20 },
      word: { type: "string", pattern: "^\\p{L}+$" },
    },
    required: ["branch", "part", "file"],
  },
  "names that need care": {
    type: "array",
    items: {
      type: "object",
      properties: {
        "*": text,
        "x-y": text,
        "a]b": { type: "integer" },
        'q"t': text,
        "^": text,
        "": text,
        "\\": text,
        é: text,
      },
      required: ["x-y"],
      additionalProperties: { type: "boolean" },
    },
  },
  "names beside others": {
    type: "object",
    properties: {
      "a-b": { type: "integer" },
      "a]c": { type: "integer" },
      ab: { type: "integer" },
      "^x": { type: "integer" },
    },
    additionalProperties: text,
  },
  "bounds of integers": {
    type: "array",
    items: {
      anyOf: [
        { type: "integer", minimum: 10, maximum: 12 },
        { type: "integer", minimum: -1005, maximum: -7 },
        { type: "integer", maximum: -3 },
        { type: "integer", minimum: 1e15 },
        { type: "integer", exclusiveMinimum: 9007199254740989 },
        { type: "integer", minimum: 0.5, maximum: 1.5 },
      ],
    },
    minItems: 4,
    maxItems: 8,
  },
  "lengths of strings": { type: "array", items: { type: "string", minLength: 2, maxLength: 4 }, maxItems: 3 },
  "long strings": {
    type: "object",
    properties: { a: { type: "string", minLength: 1, maxLength: 5000 }, b: { type: "string", minLength: 3000 } },
  },
  "an enum of 3000": { enum: Array.from({ length: 3000 }, (_, i) => `value ${i}`) },
  "an enum of everything": { enum: ["a", 1, 1.5, null, true, [1, "x"], { b: 1, a: [] }, 'q"\\'] },
  "200 optional properties": { type: "object", properties: many(200, () => text) },
  "120 properties, all required": {
    type: "object",
    properties: many(120, () => ({ type: "boolean" })),
    required: Object.keys(many(120, () => 0)),
  },
  "60 alternatives": {
    anyOf: Array.from({ length: 60 }, (_, i) => ({
      type: "object",
      properties: { [`k${i}`]: text },
      required: [`k${i}`],
    })),
  },
  conditions: {
    type: "object",
    properties: { a: text, b: text },
    if: { properties: { a: { const: "x" } } },
    // biome-ignore lint/suspicious/noThenProperty: the keyword is called so
    then: { required: ["b"] },
    dependentRequired: { a: ["b"] },
  },
  false: false,
  true: true,
  "not a schema": 17,
};
