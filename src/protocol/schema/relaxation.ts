// The words of schema lowering: what a lowered schema is, and what it says about constraints that got lost.

/** A JSON schema object as it came, or as it goes to the grammar. */
export type SchemaObject = Record<string, unknown>;

/** A lowered schema; null: no value can match. */
export type Lowered = SchemaObject | null;

/** A constraint that the grammar does not enforce: an answer may break it. */
export interface Relaxation {
  /** JSON pointer into the schema as it came, such as `#/properties/age`. */
  path: string;
  keyword: string;
  reason: string;
}

export interface LoweredSchema {
  schema: SchemaObject;
  /** Empty: every answer that follows the grammar matches the schema as it came. */
  relaxed: Relaxation[];
}

export function isSchemaObject(value: unknown): value is SchemaObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
