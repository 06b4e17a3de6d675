// Schemas of objects, lists, references and combinations, as zod, pydantic, OpenAPI documents and people write them.

const text = { type: "string" };
const integer = { type: "integer" };
const object = (properties: object, more: object = {}) => ({ type: "object", properties, ...more });
const closed = (properties: object, more: object = {}) =>
  object(properties, { required: Object.keys(properties), additionalProperties: false, ...more });
const list = (items: unknown, more: object = {}) => ({ type: "array", items, ...more });
const inside = (value: unknown) => closed({ value });
const ref = (name: string) => ({ $ref: `#/$defs/${name}` });

const OBJECTS = {
  "no properties": object({}),
  "no properties, closed": closed({}),
  "no properties, one required": object({}, { required: ["a"] }),
  "one optional": object({ a: text }),
  "ten optional": object(Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`p${i}`, text]))),
  "forty required": closed(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`p${i}`, { type: "boolean" }]))),
  "required last": object({ z: text, a: integer }, { required: ["a"] }),
  "required twice": object({ a: text }, { required: ["a", "a"] }),
  "required, undeclared": object({ a: text }, { required: ["a", "b"] }),
  "required, undeclared and closed": object({ a: text }, { required: ["b"], additionalProperties: false }),
  "map of texts": object({}, { additionalProperties: text }),
  "map of lists": object({}, { additionalProperties: list(integer) }),
  "map beside properties": object({ a: integer }, { required: ["a"], additionalProperties: integer }),
  "map by names": object({}, { propertyNames: { enum: ["x", "y"] }, additionalProperties: integer }),
  "map by a name's pattern": object({}, { propertyNames: { pattern: "^[a-z]+$" }, additionalProperties: text }),
  "map by patterns": object({}, { patternProperties: { "^S_": text, "^I_": integer }, additionalProperties: false }),
  "numbers of properties": object({}, { minProperties: 1, maxProperties: 3, additionalProperties: text }),
  "deep, eight levels": Array.from({ length: 8 }).reduce<object>((inner) => closed({ next: inner }), text),
  "names with spaces": closed({ "first name": text, "last-name": text, "a.b": text, $id: text, "@type": text }),
  "names of prototypes": closed({ __proto__x: text, constructor: text, toString: text, hasOwnProperty: text }),
  "names of other scripts": closed({ имя: text, 名前: text, "😀": text }),
  "names of keywords": closed({ type: text, properties: text, required: text, $ref: text, enum: text, items: text }),
  "long names": closed({ ["n".repeat(300)]: integer }),
  "needs another": object({ card: text, address: text }, { dependentRequired: { card: ["address"] } }),
  "needs another, old": object({ card: text, address: text }, { dependencies: { card: ["address"] } }),
  "needs a schema": object({ a: text }, { dependentSchemas: { a: object({ b: integer }, { required: ["b"] }) } }),
  "nothing else evaluated": object({ a: text }, { unevaluatedProperties: false }),
  "properties without a type": { properties: { a: text }, required: ["a"], additionalProperties: false },
  "write and read only": object({ id: { ...integer, readOnly: true }, key: { ...text, writeOnly: true } }),
  "example values": object({ a: { ...text, example: "x", examples: ["y"], "x-order": 1 } }, { example: { a: "x" } }),
};

const LISTS = {
  "of texts": list(text),
  "of anything": { type: "array" },
  "of lists": list(list({ type: "number" })),
  "of objects": list(closed({ id: integer, name: text })),
  "not empty": list(text, { minItems: 1 }),
  "of three": list(integer, { minItems: 3, maxItems: 3 }),
  "of none": list(text, { maxItems: 0 }),
  "of up to 1000": list(integer, { maxItems: 1000 }),
  "impossible sizes": list(text, { minItems: 4, maxItems: 2 }),
  unique: list(text, { uniqueItems: true }),
  "unique of an enum": list({ enum: ["a", "b", "c"] }, { uniqueItems: true, minItems: 1 }),
  "with one of": list(text, { contains: { const: "x" } }),
  "tuple, open": { type: "array", prefixItems: [text, integer] },
  "tuple, closed": { type: "array", prefixItems: [text, integer], items: false },
  "tuple, of a size": { type: "array", prefixItems: [text, integer], minItems: 2, maxItems: 2 },
  "tuple with a rest": { type: "array", prefixItems: [text], items: integer },
  "tuple, old": { type: "array", items: [text, integer], additionalItems: false },
  "tuple, old with a rest": { type: "array", items: [text], additionalItems: integer },
  "of a union": list({ anyOf: [text, integer, closed({ a: text })] }, { minItems: 1 }),
  "or one": { anyOf: [list(text), text] },
};

const REFERENCES = {
  "one definition": { ...closed({ a: ref("A"), b: ref("A") }), $defs: { A: closed({ x: integer }) } },
  "old definitions": { ...closed({ a: { $ref: "#/definitions/A" } }), definitions: { A: text } },
  "of components": { ...closed({ a: { $ref: "#/components/schemas/A" } }), components: { schemas: { A: integer } } },
  chain: { ...closed({ a: ref("A") }), $defs: { A: ref("B"), B: ref("C"), C: { type: "boolean" } } },
  "with a limit beside it": {
    ...closed({ a: { ...ref("A"), minLength: 2 } }),
    $defs: { A: { ...text, maxLength: 5 } },
  },
  "with a note beside it": { ...closed({ a: { ...ref("A"), description: "d", default: 1 } }), $defs: { A: integer } },
  "into a property": closed({ a: integer, b: { $ref: "#/properties/a" } }),
  "with an escaped name": { ...closed({ a: { $ref: "#/$defs/x~1y%20z" } }), $defs: { "x/y z": text } },
  "a linked list": {
    ...closed({ head: { anyOf: [ref("Node"), { type: "null" }] } }),
    $defs: { Node: closed({ value: integer, next: { anyOf: [ref("Node"), { type: "null" }] } }) },
  },
  "a tree": { ...ref("Tree"), $defs: { Tree: closed({ label: text, children: list(ref("Tree")) }) } },
  "an expression": {
    ...closed({ e: ref("E") }),
    $defs: {
      E: { anyOf: [{ type: "number" }, closed({ op: { enum: ["+", "-"] }, left: ref("E"), right: ref("E") })] },
    },
  },
  "two that need each other": {
    ...closed({ a: ref("A") }),
    $defs: { A: object({ b: ref("B") }), B: object({ a: ref("A") }) },
  },
  "itself whole": object({ child: { $ref: "#" } }),
  "itself without an end": { ...closed({ a: ref("A") }), $defs: { A: closed({ a: ref("A") }) } },
  "itself only": { ...closed({ a: ref("A") }), $defs: { A: ref("A") } },
  "any JSON": {
    ...closed({ json: ref("J") }),
    $defs: {
      J: {
        anyOf: [
          text,
          { type: "number" },
          { type: "boolean" },
          { type: "null" },
          list(ref("J")),
          object({}, { additionalProperties: ref("J") }),
        ],
      },
    },
  },
  "by an anchor": { ...closed({ a: { $ref: "#word" } }), $defs: { A: { $anchor: "word", ...text } } },
  dynamic: { $dynamicAnchor: "n", ...object({ next: { $dynamicRef: "#n" } }) },
};

const COMBINATIONS = {
  "text or nothing": inside({ anyOf: [text, { type: "null" }] }),
  "one of two types": inside({ oneOf: [text, integer] }),
  "one of overlapping": inside({ oneOf: [integer, { type: "number" }] }),
  "one of objects with a tag": inside({
    oneOf: ["a", "b", "c"].map((kind) => closed({ kind: { const: kind }, [kind]: integer })),
    discriminator: { propertyName: "kind" },
  }),
  "any of objects": inside({ anyOf: [closed({ a: text }), closed({ b: integer })] }),
  "any of constants with notes": inside({ anyOf: ["x", "y"].map((value) => ({ const: value, description: value })) }),
  "any of one": inside({ anyOf: [text] }),
  "any of none": inside({ anyOf: [] }),
  "any of nested unions": inside({ anyOf: [{ anyOf: [text, integer] }, { anyOf: [{ type: "null" }] }] }),
  "any of with a type beside": inside({ type: "string", anyOf: [{ minLength: 2 }, { const: "" }] }),
  "any of required": object({ a: text, b: text }, { anyOf: [{ required: ["a"] }, { required: ["b"] }] }),
  "one of required": object({ a: text, b: text }, { oneOf: [{ required: ["a"] }, { required: ["b"] }] }),
  "all of objects": { allOf: [object({ a: text }, { required: ["a"] }), object({ b: integer }, { required: ["b"] })] },
  "all of bounds": inside({ allOf: [{ type: "integer" }, { minimum: 3 }, { maximum: 9 }] }),
  "all of one reference": {
    ...closed({ a: { allOf: [ref("A")], description: "d" } }),
    $defs: { A: closed({ x: text }) },
  },
  "all of against each other": inside({ allOf: [text, integer] }),
  "all of and a union": inside({ allOf: [{ anyOf: [text, integer] }, { anyOf: [integer, { type: "null" }] }] }),
  "not a type": inside({ not: { type: "string" } }),
  "not a constant": inside({ type: "string", not: { const: "" } }),
  "not anything": inside({ not: {} }),
  "not required": object({ a: text }, { not: { required: ["b"] } }),
  "if and then": {
    ...object({ a: { enum: ["x", "y"] }, b: text }, { required: ["a"] }),
    if: { properties: { a: { const: "x" } } },
    else: {},
  },
  "case by case": {
    ...object({ unit: text, value: { type: "number" } }),
    allOf: [{ if: { required: ["unit"] }, else: { required: ["value"] } }],
  },
};

const label = (kind: string, cases: Record<string, unknown>) =>
  Object.entries(cases).map(([name, schema]): [string, unknown] => [`${kind}: ${name}`, schema]);

export const STRUCTURE_SCHEMAS: Record<string, unknown> = Object.fromEntries([
  ...label("object", OBJECTS),
  ...label("list", Object.fromEntries(Object.entries(LISTS).map(([name, schema]) => [name, inside(schema)]))),
  ...label("reference", REFERENCES),
  ...label("combination", COMBINATIONS),
]);
