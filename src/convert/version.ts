// What kind of files this converter writes.

/** Raised when the same source gives another file than before: files that were converted for serving are then made anew. */
export const CONVERTER_VERSION = 1;
