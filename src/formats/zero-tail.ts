// Whether a file ends in zeros: what a download leaves that reserved its space first and stopped on the way.

import { type ReadAt, readBytes } from "./read-at.ts";

/** Weights that were trained hold no megabyte of zeros; padding and small biases may well be zeros. */
const TAIL_BYTES = 1024 * 1024;
/** Spread over the tail: eight are enough, since a megabyte with zeros at eight places is no accident. */
const SAMPLES = 8;
const SAMPLE_BYTES = 512;

/** False for a file of less than twice the tail. */
export function isZeroAtEnd(file: ReadAt): boolean {
  if (file.sizeBytes < 2 * TAIL_BYTES) return false;
  const step = Math.floor((TAIL_BYTES - SAMPLE_BYTES) / (SAMPLES - 1));
  for (let index = 0; index < SAMPLES; index++) {
    const at = file.sizeBytes - SAMPLE_BYTES - index * step;
    if (readBytes(file, at, SAMPLE_BYTES).some((byte) => byte !== 0)) return false;
  }
  return true;
}
