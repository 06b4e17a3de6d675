// Functions in namespaces: models know one name for each tool, so that of its namespace stands before it. Pure.

export interface ToolName {
  name: string;
  namespace?: string | undefined;
}

/** Functions in namespaces, by the names that the model knows. */
export type InnerNames = ReadonlyMap<string, { name: string; namespace: string }>;

/** As the model knows it. */
export function joinName({ name, namespace }: ToolName): string {
  return namespace === undefined ? name : `${namespace}__${name}`;
}
