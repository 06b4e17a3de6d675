// How folders of weights become files that can be served: a part of the table of `serve`'s options. Pure.

import { integerOption, textOption } from "../lib/option.ts";

export const CONVERTING_OPTIONS = {
  convertType: textOption(
    {
      name: "convert_type",
      placeholder: "TYPE",
      description: "Type of what is converted to be served; auto is what fits",
    },
    /^\w+$/,
    "auto, or a type of convert",
    "auto",
  ),
  convertCacheBytes: integerOption(
    {
      name: "convert_cache",
      placeholder: "BYTES",
      description: "Disk space for that; 0 is a quarter of it",
    },
    0,
    1024 ** 5,
    0,
  ),
};
