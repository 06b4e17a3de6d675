// Where models compute: a part of the table of `serve`'s options. Pure.

import { listOption } from "../lib/option.ts";
import { BACKENDS } from "../protocol/backends.ts";

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
