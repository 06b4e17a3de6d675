// A conversion as clients see it, in answers and in events. Pure.

import { ERROR_KINDS } from "../../protocol/errors.ts";
import type { ConversionJob } from "../../router/conversions/conversions.ts";
import type { ConversionReply } from "./convert-schema.ts";

export function encodeConversion(job: ConversionJob): ConversionReply {
  const { id, source, state, outType, file, phase, doneBytes, totalBytes, askedAt, endedAt, notes, error } = job;
  return {
    id,
    source,
    state,
    outType,
    file,
    phase,
    doneBytes,
    totalBytes,
    askedAt,
    endedAt,
    notes,
    error: error && { code: error.code, message: error.message, hint: error.hint ?? ERROR_KINDS[error.code].hint },
  };
}
