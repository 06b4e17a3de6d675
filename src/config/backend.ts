// Where models compute: a part of the table of `serve`'s options. Pure.

import { listOption } from "../lib/option.ts";
import { BACKENDS, type BackendName } from "../protocol/backends.ts";

const NAME = `(${BACKENDS.join("|")})`;

export const BACKEND_OPTIONS = {
  backend: listOption(
    {
      name: "backend",
      placeholder: "NAMES",
      description: "Back ends in order, the first that works is used; by default all that work",
    },
    new RegExp(`^${NAME}(,${NAME})*$`),
    `of ${BACKENDS.join(", ")}`,
  ),
};

/** In order, each once; none: whatever works. */
export function listBackends(values: readonly string[]): BackendName[] {
  const named = values.flatMap((value) => value.split(","));
  return BACKENDS.filter((name) => named.includes(name)).sort((a, b) => named.indexOf(a) - named.indexOf(b));
}
